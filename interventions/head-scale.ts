/**
 * Head scale: the outputs of chosen heads times a factor, before the output projection,
 *
 *   z_h ← s_h z_h,
 *
 * at every row, prefill and decode alike. The primitive of VHR (He et al., arXiv 2412.13949), with heads given.
 */
import { z } from 'zod';
import { defineIntervention, type InterventionFactory } from './define.ts';
import { scaleOutputs } from './head-factors.ts';
import { headKnob, headValues } from './head-knob.ts';
import { type HeadSet, headSet, headTable, type LayerSet, layerSet, type PerHead } from './heads.ts';

const KNOB = 'attune.head_scale.factor';
const factor = z.number().finite();

/** Parameters of headScale. */
export interface HeadScaleParameters {
  /** s: one number, s[head], or s[layer][head]; 1 leaves a head alone, exactly. */
  scale: PerHead;
  /** layers of the decoder: 'all', or indices from 0. Default 'all'. */
  layers?: LayerSet | undefined;
  /** query heads: 'all', indices in every chosen layer, or [layer, head] pairs, from 0. Default 'all'. */
  heads?: HeadSet | undefined;
}

/**
 * Multiplies the outputs of chosen heads by a factor, before the output projection W_O, in every row of prompt and decoding.
 *
 *     z_h ← s_h z_h
 *
 * z is [B, S, H, D]. s = 1 is neutral, bit for bit; s = 0 switches a head off. Fused operators stay.
 * Source: the primitive of VHR (He et al., arXiv 2412.13949), with heads given.
 *
 * @example
 * ```ts
 * const output = await model.generate({
 *   ...inputs, max_new_tokens: 8, interventions: [headScale({ scale: 2, heads: [[1, 0]] })],
 * });
 * ```
 * @throws AttuneError SPEC_INVALID; when a model uses it, LAYER_OUT_OF_RANGE, HEAD_OUT_OF_RANGE, HEADS_MISMATCH, INTERVENTION_REFUSED
 */
export const headScale: InterventionFactory<
  HeadScaleParameters,
  Required<HeadScaleParameters>
> = defineIntervention({
  name: 'head-scale',
  stage: 'heads',
  needs: ['self-attention'],
  reference: 'arXiv 2412.13949',
  schema: z.strictObject({
    scale: z
      .union([factor, z.array(factor).min(1), z.array(z.array(factor).min(1)).min(1)])
      .describe('s: one number, s[head], or s[layer][head]; 1 leaves a head alone, exactly'),
    layers: layerSet.default('all'),
    heads: headSet.default('all'),
  }),
  plan: (model) => ({ knobs: [headKnob(KNOB, model, 1)], edits: scaleOutputs(model, KNOB) }),
  knobs: ({ scale, layers, heads }, model) => ({
    [KNOB]: headValues(headTable(model, scale, { layers, heads, neutral: 1 })),
  }),
});
