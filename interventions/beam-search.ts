/**
 * Beam search as transformers has it (its scorer's rules, one prompt), which transformers.js 4.3.1 does not implement: `num_beams`
 * there takes the best token of one row. The baseline that OPERA is compared with, and a search of its own right.
 */
import { z } from 'zod';
import {
  BeamRows,
  beamRequest,
  bestOf,
  type Extension,
  Hypotheses,
  largestLogits,
  logSumExp,
  sequencesOf,
} from '../hooks/model/decoding/index.ts';
import type { SearchModel } from '../hooks/model/index.ts';
import { defineIntervention, type InterventionFactory } from './define.ts';

/** Parameters of beamSearch. */
export interface BeamSearchParameters {
  /** sequences that are kept. Default 5. */
  beams?: number | undefined;
}

/**
 * Beam search as transformers has it, which transformers.js 4.3.1 does not implement: its `num_beams` takes the best token of one row.
 *
 *     score(sequence) = Σ log p(token | tokens before it) / length^length_penalty
 *
 * Acts in place of `generate`, on logits [beams, V]; the best finished sequence is returned. One prompt at a time, without sampling. With
 * `beams: 1` it is greedy decoding.
 * Source: transformers, GenerationMixin; the baseline that OPERA is compared with.
 *
 * @example
 * ```ts
 * const output = await model.generate({
 *   ...inputs, max_new_tokens: 8, interventions: [beamSearch({ beams: 3 })],
 * });
 * ```
 * @throws AttuneError SPEC_INVALID; when it runs, SEARCH_OPTION, SEARCH_BATCH, CACHE_LAYOUT
 */
export const beamSearch: InterventionFactory<
  BeamSearchParameters,
  Required<BeamSearchParameters>
> = defineIntervention({
  name: 'beam-search',
  stage: 'decoding',
  needs: [],
  reference: 'transformers, GenerationMixin beam search',
  schema: z.strictObject({
    beams: z.int().min(1).default(5).describe('sequences that are kept'),
  }),
  plan: () => ({}),
  knobs: () => ({}),
  decoding: ({ beams }) => ({
    kind: 'search',
    generate: (model, options) => search(beams, model, options),
  }),
});

async function search(beams: number, model: SearchModel, options: Readonly<Record<string, unknown>>) {
  const request = beamRequest('beam-search', beams, model, options);
  const rows = new BeamRows(model, request);
  const hypotheses = new Hypotheses(request);
  let open: { tokens: readonly number[]; score: number }[] = [{ tokens: [], score: 0 }];
  let { logits, cache } = await rows.prompt();
  for (let step = 0; step < request.maxNewTokens; step++) {
    const extensions = bestOf(likeliest(logits, open, 2 * beams), 2 * beams);
    const next = hypotheses.advance(
      extensions,
      open.map(({ tokens }) => tokens),
    );
    open = next.map(({ beam, token, score }) => ({ tokens: [...open[beam]!.tokens, token], score }));
    if (hypotheses.done || step === request.maxNewTokens - 1) break;
    const parents = next.map(({ beam }) => beam);
    const tokens = next.map(({ token }) => token);
    ({ logits, cache } = await rows.next(cache, parents, tokens, request.promptIds.length + step));
  }
  return sequencesOf(request, hypotheses.best(open));
}

/** The k likeliest extensions of each open sequence. */
export function* likeliest(
  logits: readonly Float32Array[],
  open: readonly { score: number }[],
  k: number,
): Generator<Extension> {
  for (const [beam, { score }] of open.entries()) {
    const row = logits[beam]!;
    const total = logSumExp(row);
    for (const token of largestLogits(row, k)) yield { beam, token, score: score + row[token]! - total };
  }
}
