/**
 * Contrast: next-token scores moved away from what the model would say without something,
 *
 *   out = (1 + α) l − α l',   out = −∞ where l < max l + ln β
 *
 * l' being of a second stream: the prompt without some of its tokens (context-aware decoding, Shi et al., arXiv 2305.14739), with
 * others in their place (classifier-free guidance with a negative text, Sanchez et al., arXiv 2306.17806, γ = 1 + α), or the same
 * prompt with heads switched off and α the entropy of l (DeCoRe, Gema et al., arXiv 2410.18860).
 */
import { z } from 'zod';
import { AttuneError } from '../errors.ts';
import type { Contrast, ContrastContext, ModelInputs } from '../hooks/model/index.ts';
import type { Feeds } from '../hooks/session/index.ts';
import { combine } from './combine.ts';
import { defineIntervention } from './define.ts';
import { headAblation } from './head-ablation.ts';
import { keptTokens, withRows } from './second-prompt.ts';
import { markedPrompt, SPANS, type Spans, spansSchema } from './spans.ts';

const token = z.int().nonnegative();

const schema = z
  .strictObject({
    without: spansSchema.optional().describe(`what the second stream does not see: ${SPANS}`),
    instead: z.array(token).default([]).describe('token ids that stand there in its place'),
    heads: z
      .array(z.tuple([token, token]))
      .min(1)
      .optional()
      .describe('[layer, head] pairs that are switched off in the second stream'),
    alpha: z
      .union([z.number().nonnegative(), z.literal('entropy')])
      .default(0.5)
      .describe("α: how far scores are moved; 0 is neutral; 'entropy': by that of the first stream, in nats"),
    most: z.number().nonnegative().optional().describe('α at most, where it is the entropy'),
    beta: z
      .number()
      .min(0)
      .max(1)
      .default(0)
      .describe('β: tokens less likely than this share of the likeliest one are cut off; 0 cuts none'),
  })
  .superRefine(({ without, heads, instead, alpha, most }, context) => {
    const issue = (path: string, message: string) =>
      context.addIssue({ code: 'custom', path: [path], message });
    if (without === undefined && heads === undefined)
      issue('without', 'nothing to contrast with: give it, or heads');
    if (without === undefined && instead.length > 0)
      issue('instead', 'in the place of nothing: give `without`');
    if (alpha !== 'entropy' && most !== undefined) issue('most', "it bounds alpha: 'entropy'");
  });

/**
 * Moves next-token scores away from those of a second stream, (1 + α) l − α l': the prompt without spans, with other tokens in their
 * place, or with heads switched off. α = 0 is neutral; default 0.5. docs/decoding.md
 *
 * @example const { documents, ...inputs } = segmentPrompt(tokenizer, { prefix, documents: passages, suffix });
 * model.use([contrast({ without: documents, alpha: 0.5 })]);
 * @throws AttuneError SPEC_INVALID, INTERVENTION_CONFLICT; when run, SPANS_INVALID, ROWS_MISMATCH, CONTEXT_EXCEEDED,
 *   HEAD_OUT_OF_RANGE, STATE_MISMATCH
 */
export const contrast = defineIntervention({
  name: 'contrast',
  stage: 'decoding',
  needs: ['second-pass'],
  conflicts: { pine: 'Documents are places in the prompt, and the second stream has another prompt.' },
  reference: 'arXiv 2305.14739, 2306.17806, 2410.18860',
  schema,
  plan: () => ({}),
  knobs: () => ({}),
  decoding: ({ without, instead, heads, alpha, most, beta }): Contrast => ({
    kind: 'contrast',
    aside: heads ? [headAblation({ heads, kind: 'zero' })] : [],
    second: (inputs, context) => secondPrompt(inputs, without, instead, context),
    combine: (first, second) => combine(first, second, { alpha, most, beta }),
  }),
});

/** @throws AttuneError SPANS_INVALID, ROWS_MISMATCH */
function secondPrompt(
  inputs: ModelInputs,
  without: Spans | undefined,
  instead: readonly number[],
  context: ContrastContext,
): ModelInputs {
  if (without === undefined) {
    const { past_key_values: _, ...same } = inputs;
    return same;
  }
  const promptIds = keptTokens({ input_ids: inputs.input_ids }, () => true);
  const request = { step: 0, past: 0, promptIds, imageSpans: [], spansHere: [] };
  const { length, first, marks } = markedPrompt('contrast', without, request, inputs as unknown as Feeds);
  const kept = keptTokens(inputs, (_id, row, column) => marks[row * length + column] === 0)!;
  const rows = kept.map((row, b) => {
    const start = marks.subarray(b * length, (b + 1) * length).indexOf(1);
    const place = start - first[b]!;
    const made = start < 0 ? row : [...row.slice(0, place), ...instead, ...row.slice(place)];
    if (made.length > 0) return made;
    throw new AttuneError('SPANS_INVALID', {
      at: `contrast, row ${b}`,
      found: 'no token left for the second stream',
      expected: 'a prompt of one token or more without the spans, such as BOS',
    });
  });
  return withRows(inputs, rows, context);
}
