/**
 * PAI, paying attention to the image (Liu et al., arXiv 2407.21771). The logits of the newest row toward all image tokens
 * are raised by the share α of their own size (image-gain.ts), and what a run without the image would say anyhow is
 * subtracted from the next-token scores:
 *
 *   out = γ l − (γ − 1) l',   out = −∞ where l < max l + ln 0.1
 *
 * l and l' are log-probabilities with and without the image, the latter without the edit. γ = 1 leaves l alone.
 */
import { z } from 'zod';
import type { Contrast } from '../hooks/model/index.ts';
import { combine } from './combine.ts';
import { defineIntervention, type InterventionFactory } from './define.ts';
import { type LayerSet, layerSet } from './heads.ts';
import { gainFeed, gainKnobs, gainPlan, laterLayers } from './image-gain.ts';
import { textOnly } from './text-only.ts';

/** Tokens less likely than this share of the likeliest one are cut off. */
const CUT_OFF = 0.1;

/** Parameters of pai. */
export interface PaiParameters {
  /** α: share of its own size a logit is raised by; 0 is neutral. Default 0.5. */
  alpha?: number | undefined;
  /** γ: how far next-token scores are moved away from those without the image; 1 is neutral. Default 1.1. */
  gamma?: number | undefined;
  /** 'auto': all but the first two of 32, in models of other depth in proportion. Default 'auto'. */
  layers?: 'auto' | LayerSet | undefined;
  /** 'last': the last row of every call; 'decode': not that of the prompt. Default 'last'. */
  rows?: 'last' | 'decode' | undefined;
}

/**
 * PAI, paying attention to the image: the logits of the newest row toward all image tokens are raised by the share α of their own size,
 * and what the model would say without the image is subtracted from the next-token scores.
 *
 *     s_nt ← s_nt + α |s_nt| on image tokens t, n the last row
 *     out = γ l − (γ − 1) l',   out = −∞ where l < max l + ln 0.1
 *
 * s is [B, H, S, T]; l and l' are log-probabilities [B, V] with and without the image, the latter without the edit. α = 0 and γ = 1 are
 * neutral. With γ > 1 a second stream runs beside every step.
 * Source: Liu et al., arXiv 2407.21771; code LALBJ/PAI.
 *
 * @example
 * ```ts
 * const attentive = vlm.with([pai({ alpha: 0.5, gamma: 1.1 })]);
 * const output = await attentive.generate({ ...imageInputs, max_new_tokens: 8 });
 * console.log(output.dims); // [B, S + 8] or less
 * ```
 * @throws AttuneError SPEC_INVALID; when a model uses it, INTERVENTION_REFUSED, INTERVENTION_CONFLICT, LAYER_OUT_OF_RANGE; when it runs,
 *   IMAGE_SPANS_UNKNOWN, STATE_MISMATCH
 */
export const pai: InterventionFactory<PaiParameters, Required<PaiParameters>> = defineIntervention({
  name: 'pai',
  stage: 'logits',
  needs: ['self-attention', 'image-span', 'second-pass'],
  conflicts: { 'imbalanced-attention': 'Both raise logits toward image tokens; use one of them.' },
  reference: 'arXiv 2407.21771; code LALBJ/PAI',
  schema: z.strictObject({
    alpha: z
      .number()
      .nonnegative()
      .finite()
      .default(0.5)
      .describe('α: share of its own size a logit is raised by; 0 is neutral'),
    gamma: z
      .number()
      .min(1)
      .finite()
      .default(1.1)
      .describe('γ: how far next-token scores are moved away from those without the image; 1 is neutral'),
    layers: z
      .union([z.literal('auto'), layerSet])
      .default('auto')
      .describe("'auto': all but the first two of 32, in models of other depth in proportion"),
    rows: z
      .enum(['last', 'decode'])
      .default('last')
      .describe("'last': the last row of every call; 'decode': not that of the prompt"),
  }),
  plan: (model) => gainPlan('pai', model),
  knobs: ({ layers, rows }, model) => gainKnobs(model, layers === 'auto' ? laterLayers(model) : layers, rows),
  feed: ({ alpha }, _model, request, feeds) => gainFeed('pai', request, feeds, () => alpha),
  decoding: ({ gamma }): Contrast | undefined =>
    gamma === 1
      ? undefined
      : {
          kind: 'contrast',
          second: textOnly,
          combine: (first, second) =>
            combine(first, second, { alpha: gamma - 1, beta: CUT_OFF, normalised: true }),
        },
});
