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
import { defineIntervention, type Filled, type InterventionFactory } from './define.ts';
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

/** Parameters of contrast. */
export interface ContrastParameters {
  /**
   * what the second stream does not see: [start, end) of each, from the first real token; or a list of them
   * for each row; or { find: token sequences }, everywhere they occur.
   */
  without?: Spans | undefined;
  /** token ids that stand there in its place. Default []. */
  instead?: number[] | undefined;
  /** [layer, head] pairs that are switched off in the second stream. */
  heads?: [layer: number, head: number][] | undefined;
  /**
   * α: how far scores are moved; 0 is neutral; 'entropy': by that of the first stream, in nats. Default 0.5.
   */
  alpha?: number | 'entropy' | undefined;
  /** α at most, where it is the entropy. */
  most?: number | undefined;
  /** β: tokens less likely than this share of the likeliest one are cut off; 0 cuts none. Default 0. */
  beta?: number | undefined;
}

/**
 * Moves next-token scores away from what the model would say without something.
 *
 *     out = (1 + α) l − α l',   out = −∞ where l < max l + ln β
 *
 * l and l' are logits [B, V] of the prompt and of a second stream: the prompt without spans of it (context-aware decoding), with other
 * tokens in their place (classifier-free guidance, γ = 1 + α), or with heads switched off (DeCoRe, α the entropy of l). The second stream
 * runs beside every step. α = 0 and β = 0 are neutral.
 * Source: Shi et al., arXiv 2305.14739; Sanchez et al., arXiv 2306.17806; Gema et al., arXiv 2410.18860.
 *
 * @example
 * ```ts
 * const { spans, ...prompt } = markedText(tokenizer, [{ mark: passages[0] }, question]);
 * const output = await model.generate({ ...prompt, max_new_tokens: 8, interventions: [contrast({ without: spans })] });
 * console.log(tokenizer.batch_decode(output, { skip_special_tokens: true }));
 * ```
 * @throws AttuneError SPEC_INVALID; when a model uses it, HEAD_OUT_OF_RANGE, INTERVENTION_CONFLICT; when it runs, SPANS_INVALID,
 *   ROWS_MISMATCH, CONTEXT_EXCEEDED, STATE_MISMATCH
 */
export const contrast: InterventionFactory<
  ContrastParameters,
  Filled<ContrastParameters, 'instead' | 'alpha' | 'beta'>
> = defineIntervention({
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
