/**
 * VCD, visual contrastive decoding (Leng et al., CVPR 2024, arXiv 2311.16922): what a model says of a noised picture is what it
 * would say anyhow, and is subtracted.
 *
 *   d = (1 + α) l − α l',   d = −∞ where l < max(l) + ln β
 *
 * l' are the logits of a second stream, same text, picture diffused to step n. α = 0 keeps the cut-off alone, the control that
 * the paper's comparison with plain sampling needs; α = β = 0 changes nothing.
 */
import { z } from 'zod';
import { AttuneError } from '../errors.ts';
import type { Contrast, ModelFacts, ModelTensor } from '../hooks/model/index.ts';
import { combine } from './combine.ts';
import { defineIntervention, type InterventionFactory } from './define.ts';
import { diffused } from './noise.ts';

/** Parameters of vcd. */
export interface VcdParameters {
  /** α: how much of the second stream is subtracted. Default 1. */
  alpha?: number | undefined;
  /** β: tokens less likely than this share of the likeliest one are cut off; 0 cuts none. Default 0.1. */
  beta?: number | undefined;
  /** n, of 1,000 steps of diffusion. Default 500. */
  noiseStep?: number | undefined;
  /** of the noise; a picture has the same noise at every step. Default 0. */
  seed?: number | undefined;
}

/**
 * VCD, visual contrastive decoding: what the model says of a noised picture is what it would say anyhow, and is subtracted.
 *
 *     out = (1 + α) l − α l',   out = −∞ where l < max l + ln β
 *
 * l and l' are logits [B, V]; l' are of a second stream with the same text and the picture diffused to step n, which runs beside every step.
 * α = 0 keeps the cut-off alone, the control that a comparison with plain sampling needs; α = β = 0 changes nothing.
 * Source: Leng et al., arXiv 2311.16922, equations 3 and 4.
 *
 * @example
 * ```ts
 * const contrasted = vlm.with([vcd({ alpha: 1, beta: 0.1, noiseStep: 500 })]);
 * const output = await contrasted.generate({ ...imageInputs, max_new_tokens: 8 });
 * console.log(output.dims); // [B, S + 8] or less
 * ```
 * @throws AttuneError SPEC_INVALID; when a model uses it, INTERVENTION_REFUSED for a model without images, INTERVENTION_CONFLICT; when it
 *   runs, STATE_MISMATCH
 */
export const vcd: InterventionFactory<VcdParameters, Required<VcdParameters>> = defineIntervention({
  name: 'vcd',
  stage: 'decoding',
  needs: ['image-span', 'second-pass'],
  reference: 'arXiv 2311.16922, equations 3 and 4',
  schema: z.strictObject({
    alpha: z.number().nonnegative().default(1).describe('α: how much of the second stream is subtracted'),
    beta: z
      .number()
      .min(0)
      .max(1)
      .default(0.1)
      .describe('β: tokens less likely than this share of the likeliest one are cut off; 0 cuts none'),
    noiseStep: z.int().min(0).max(999).default(500).describe('n, of 1,000 steps of diffusion'),
    seed: z.int().default(0).describe('of the noise; a picture has the same noise at every step'),
  }),
  plan: (model) => {
    refuseTextModel(model);
    return {};
  },
  knobs: () => ({}),
  decoding: ({ alpha, beta, noiseStep, seed }): Contrast => ({
    kind: 'contrast',
    second: (inputs, { tensor }) => {
      const { pixel_values, past_key_values: _, ...rest } = inputs;
      const pixels = pixel_values as ModelTensor | undefined;
      if (!pixels) return undefined;
      const [images = 1] = pixels.dims;
      const clean = pixels.to('float32').data as Float32Array;
      const size = clean.length / images;
      const noised = new Float32Array(clean.length);
      for (let i = 0; i < images; i++) {
        noised.set(diffused(clean.slice(i * size, (i + 1) * size), noiseStep, seed), i * size);
      }
      return { ...rest, pixel_values: tensor('float32', noised, pixels.dims) };
    },
    combine: (first, second) => combine(first, second, { alpha, beta }),
  }),
});

function refuseTextModel({ config }: ModelFacts): void {
  if (config.image_token_id !== undefined || config.image_token_index !== undefined) return;
  throw new AttuneError('INTERVENTION_REFUSED', {
    at: 'vcd',
    found: 'a model without image tokens',
    expected: 'a vision-language model, whose picture can be noised',
  });
}
