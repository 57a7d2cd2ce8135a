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
import { defineIntervention } from './define.ts';
import { layerSet } from './heads.ts';
import { gainFeed, gainKnobs, gainPlan, laterLayers } from './image-gain.ts';
import { spansOf } from './image-tokens.ts';

const gain = z.number().nonnegative().finite();

export const imbalancedAttention = defineIntervention({
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
