/**
 * Imbalanced attention (PAINT; Arif et al., arXiv 2501.12206): the image encoder names two small sets of image tokens, and
 * the logits of the newest row toward them are raised, by α for local tokens and β for summary tokens (image-gain.ts).
 *
 * Local: the share `localRatio` of patches the class token attends to most in the encoder's first layer. Summary: patches
 * whose attention in the layer before the last is an outlier of the box plot; a patch in both sets is a summary.
 */
import { z } from 'zod';
import { AttuneError } from '../errors.ts';
import type { ImageAttention } from '../hooks/model/index.ts';
import { imageTokens } from '../kernels/detect/index.ts';
import { defineIntervention, type Filled, type InterventionFactory } from './define.ts';
import { type LayerSet, layerSet } from './heads.ts';
import { gainFeed, gainKnobs, gainPlan, laterLayers } from './image-gain.ts';
import { spansOf } from './image-tokens.ts';

const gain = z.number().nonnegative().finite();

/** Parameters of imbalancedAttention. */
export interface ImbalancedAttentionParameters {
  /** α: gain of local tokens; 0 is neutral. Default 0.7. */
  alpha?: number | undefined;
  /** β: gain of summary tokens; 0 is neutral. Default 0.4. */
  beta?: number | undefined;
  /** share of the patches that are local. Default 0.25. */
  localRatio?: number | undefined;
  /** 'auto': all but the first two of 32, in models of other depth in proportion. Default 'auto'. */
  layers?: 'auto' | LayerSet | undefined;
  /** an extension: a factor per query head on both gains; the paper announces one and gives no formula. */
  headGain?: number[] | undefined;
}

/**
 * Imbalanced attention (PAINT): the image encoder names two small sets of image tokens, and the logits of the newest row toward them are
 * raised by a share of their own size.
 *
 *     s_nt ← s_nt + g_t |s_nt|,   g_t = α for local tokens, β for summary tokens, 0 elsewhere
 *
 * s is [B, H, S, T], n its last row. Local: the share `localRatio` of the patches that the class token attends to most in the encoder's first
 * layer. Summary: patches whose attention in the layer before the last is an outlier of the box plot. α = β = 0 is neutral, bit for bit.
 * Source: Arif et al., arXiv 2501.12206; code hasanar1f/PAINT.
 *
 * @example
 * ```ts
 * const raised = vlm.with([imbalancedAttention({ alpha: 0.7, beta: 0.4 })]);
 * const output = await raised.generate({ ...imageInputs, max_new_tokens: 8 });
 * console.log(output.dims); // [B, S + 8] or less
 * ```
 * @throws AttuneError SPEC_INVALID; when a model uses it, INTERVENTION_REFUSED, INTERVENTION_CONFLICT, LAYER_OUT_OF_RANGE, HEADS_MISMATCH;
 *   when it runs, IMAGE_SPANS_UNKNOWN, IMAGE_ATTENTION_MISSING
 */
export const imbalancedAttention: InterventionFactory<
  ImbalancedAttentionParameters,
  Filled<ImbalancedAttentionParameters, 'alpha' | 'beta' | 'localRatio' | 'layers'>
> = defineIntervention({
  name: 'imbalanced-attention',
  stage: 'logits',
  needs: ['self-attention', 'image-span', 'image-attention'],
  conflicts: { pai: 'Both raise logits toward image tokens; use one of them.' },
  reference: 'arXiv 2501.12206; code hasanar1f/PAINT',
  schema: z.strictObject({
    alpha: gain.default(0.7).describe('α: gain of local tokens; 0 is neutral'),
    beta: gain.default(0.4).describe('β: gain of summary tokens; 0 is neutral'),
    localRatio: z.number().min(0).max(1).default(0.25).describe('share of the patches that are local'),
    layers: z
      .union([z.literal('auto'), layerSet])
      .default('auto')
      .describe("'auto': all but the first two of 32, in models of other depth in proportion"),
    headGain: z
      .array(gain)
      .min(1)
      .optional()
      .describe(
        'an extension: a factor per query head on both gains; the paper announces one and gives no formula',
      ),
  }),
  plan: (model) => gainPlan('imbalanced-attention', model),
  knobs: ({ layers, headGain }, model) =>
    gainKnobs(model, layers === 'auto' ? laterLayers(model) : layers, 'last', headGain),
  feed: ({ alpha, beta, localRatio }, _model, request, feeds) => {
    const spans = spansOf('imbalanced-attention', request);
    if (spans.length === 0) return {};
    const tokens = spans.reduce((sum, { from, to }) => sum + to - from, 0);
    const attention = patchesOf(request.imageAttention, tokens);
    const patches = attention.dims[2];
    const gains = chosenTokens(attention, localRatio).map(({ local, summary }) => {
      const perPatch = new Float32Array(patches);
      for (const t of local) perPatch[t] = alpha;
      for (const t of summary) perPatch[t] = beta;
      return perPatch;
    });
    return gainFeed(
      'imbalanced-attention',
      request,
      feeds,
      (t) => gains[Math.floor(t / patches)]![t % patches]!,
    );
  },
});

/** Local and summary patches of each image. */
export function chosenTokens({ dims, first, penultimate }: ImageAttention, localRatio: number) {
  const [images, heads, patches] = dims;
  const size = heads * patches;
  const rowsOf = (data: Float32Array, image: number) => ({
    shape: [heads, patches],
    data: Float64Array.from(data.subarray(image * size, (image + 1) * size)),
  });
  return Array.from({ length: images }, (_, image) =>
    imageTokens(rowsOf(first, image), rowsOf(penultimate, image), { localRatio }),
  );
}

/** @throws AttuneError IMAGE_ATTENTION_MISSING unless every image token stands for one patch */
function patchesOf(attention: ImageAttention | undefined, tokens: number): ImageAttention {
  const found = attention && attention.dims[0] * attention.dims[2];
  if (attention && found === tokens) return attention;
  throw new AttuneError('IMAGE_ATTENTION_MISSING', {
    at: 'imbalanced-attention',
    found: attention
      ? `${attention.dims[0]} images of ${attention.dims[2]} patches for ${tokens} image tokens`
      : `${tokens} image tokens, and no image encoded for them`,
    expected: 'an encoder with a class token, and one image token for each patch',
    hint: 'Patches that are merged, cut into tiles or left out have no published rule.',
  });
}
