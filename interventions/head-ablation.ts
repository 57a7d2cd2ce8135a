/**
 * Head ablation: switch chosen heads off, to see what they did.
 *
 *   zero     z_h ← 0                             as in VHR and most head-importance studies
 *   uniform  each row of P_h ← 1 / (visible keys)   AttentionInfluence (arXiv 2505.07293): the running mean of values
 *
 * Uniform is exact with queries of 0: all logits of the row are then equal, also under a soft cap.
 */
import { z } from 'zod';
import { isAttuneError } from '../errors.ts';
import { queryPlace } from '../hooks/compile/index.ts';
import type { ModelFacts } from '../hooks/model/index.ts';
import { defineIntervention, type InterventionFactory } from './define.ts';
import { logitsBeyondQueries, refuse, scaleOutputs, scaleQueries } from './head-factors.ts';
import { headKnob, headValues } from './head-knob.ts';
import { headTable } from './heads.ts';

const OUTPUT = 'attune.head_ablation.output';
const QUERY = 'attune.head_ablation.query';

/** Parameters of headAblation. */
export interface HeadAblationParameters {
  /** [layer, head] pairs, counted from 0. */
  heads: [layer: number, head: number][];
  /**
   * zero: the output of the head becomes 0; uniform: each row attends evenly to the keys it sees. Default
   * 'zero'.
   */
  kind?: 'zero' | 'uniform' | undefined;
}

/**
 * Switches chosen heads off, to see what they did.
 *
 *     zero      z_h ← 0                              the head's output, [B, S, H, D]
 *     uniform   each row of P_h ← 1 / (visible keys)   the running mean of its values
 *
 * Acts in every row of prompt and decoding; fused operators stay. It has no neutral setting.
 * Source: AttentionInfluence, arXiv 2505.07293; zero as in VHR and most head-importance studies.
 *
 * @example
 * ```ts
 * const without = model.with([headAblation({ heads: [[2, 1], [2, 3]] })]);
 * const { logits } = await without.forward(inputs);
 * console.log(logits.dims); // [B, S, V]
 * ```
 * @throws AttuneError SPEC_INVALID; when a model uses it, LAYER_OUT_OF_RANGE, HEAD_OUT_OF_RANGE, INTERVENTION_REFUSED for 'uniform' where
 *   logits are more than queries times keys
 */
export const headAblation: InterventionFactory<
  HeadAblationParameters,
  Required<HeadAblationParameters>
> = defineIntervention({
  name: 'head-ablation',
  stage: 'heads',
  needs: ['self-attention'],
  reference: 'arXiv 2505.07293',
  schema: z.strictObject({
    heads: z
      .array(z.tuple([z.int().nonnegative(), z.int().nonnegative()]))
      .min(1)
      .describe('[layer, head] pairs, counted from 0'),
    kind: z
      .enum(['zero', 'uniform'])
      .default('zero')
      .describe(
        'zero: the output of the head becomes 0; uniform: each row attends evenly to the keys it sees',
      ),
  }),
  plan: (model) => ({
    knobs: [headKnob(OUTPUT, model, 1), headKnob(QUERY, model, 1)],
    edits: [
      ...scaleOutputs(model, OUTPUT),
      ...(whyNotUniform(model) === undefined ? scaleQueries(model.decoder, model, QUERY) : []),
    ],
  }),
  knobs: ({ heads, kind }, model) => {
    if (kind === 'uniform') refuse("head-ablation with kind 'uniform'", whyNotUniform(model));
    const ablated = headValues(headTable(model, 0, { layers: 'all', heads, neutral: 1 }));
    const untouched = headKnob(OUTPUT, model, 1).neutral;
    return {
      [OUTPUT]: kind === 'zero' ? ablated : untouched,
      [QUERY]: kind === 'uniform' ? ablated : untouched,
    };
  },
});

/** Heads can always be zeroed; rows can be made uniform only where queries alone make the logits. */
function whyNotUniform(model: ModelFacts): string | undefined {
  try {
    for (const site of model.decoder) queryPlace(site);
  } catch (error) {
    if (isAttuneError(error, 'INTERVENTION_REFUSED')) return error.found;
    throw error;
  }
  return logitsBeyondQueries(model);
}
