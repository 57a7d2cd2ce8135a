/**
 * TempScale (Zhou et al., arXiv 2410.24200): a temperature on the attention logits,
 *
 *   p = softmax((q·k / √d) / τ + mask),
 *
 * τ < 1 sharpens. Dividing the queries by τ divides the logits, so every operator can stay; what is added to the
 * logits (masks, the bias of ZeroTuning) is not divided.
 */
import { z } from 'zod';
import { defineIntervention, type InterventionFactory } from './define.ts';
import { logitsBeyondQueries, refuse, scaleQueries } from './head-factors.ts';
import { headKnob, headValues } from './head-knob.ts';
import { type HeadSet, headSet, headTable, type LayerSet, layerSet, type PerHead } from './heads.ts';

const KNOB = 'attune.temp_scale.inverse_temperature';
const temperature = z.number().positive().finite();

/** Parameters of tempScale. */
export interface TempScaleParameters {
  /** τ > 0: one number, τ[head], or τ[layer][head]; 1 leaves a head alone, exactly. */
  temperature: PerHead;
  /** layers of the decoder: 'all', or indices from 0. Default 'all'. */
  layers?: LayerSet | undefined;
  /** query heads: 'all', indices in every chosen layer, or [layer, head] pairs, from 0. Default 'all'. */
  heads?: HeadSet | undefined;
}

/**
 * TempScale: a temperature on the attention logits.
 *
 *     P = softmax((q·k / √D) / τ + mask)
 *
 * τ < 1 sharpens, τ > 1 flattens, τ = 1 is neutral, bit for bit. Done by dividing the queries [B, S, H, D], so fused operators stay; what
 * is added to the logits (masks, the bias of ZeroTuning) is not divided. Acts in every row of prompt and decoding.
 * Source: Zhou et al., arXiv 2410.24200.
 *
 * @example
 * ```ts
 * const sharper = model.with([tempScale({ temperature: 0.8, layers: [1, 2] })]);
 * const output = await sharper.generate({ ...inputs, max_new_tokens: 8 });
 * console.log(tokenizer.batch_decode(output, { skip_special_tokens: true }));
 * ```
 * @throws AttuneError SPEC_INVALID; when a model uses it, LAYER_OUT_OF_RANGE, HEAD_OUT_OF_RANGE, HEADS_MISMATCH, INTERVENTION_REFUSED where logits are more than
 *   queries times keys, or capped
 */
export const tempScale: InterventionFactory<
  TempScaleParameters,
  Required<TempScaleParameters>
> = defineIntervention({
  name: 'temp-scale',
  stage: 'logits',
  needs: ['self-attention'],
  reference: 'arXiv 2410.24200',
  schema: z.strictObject({
    temperature: z
      .union([temperature, z.array(temperature).min(1), z.array(z.array(temperature).min(1)).min(1)])
      .describe('τ > 0: one number, τ[head], or τ[layer][head]; 1 leaves a head alone, exactly'),
    layers: layerSet.default('all'),
    heads: headSet.default('all'),
  }),
  plan: (model) => {
    const capped = model.decoder.find(({ softcap }) => softcap !== undefined);
    refuse('temp-scale', logitsBeyondQueries(model));
    refuse(
      'temp-scale',
      capped && `layer ${capped.layer} caps its logits after queries and keys are multiplied`,
    );
    return { knobs: [headKnob(KNOB, model, 1)], edits: scaleQueries(model.decoder, model, KNOB) };
  },
  knobs: ({ temperature, layers, heads }, model) => {
    const table = headTable(model, temperature, { layers, heads, neutral: 1 });
    return { [KNOB]: headValues(table.map((row) => row.map((tau) => 1 / tau))) };
  },
});
