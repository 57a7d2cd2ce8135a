/** Writing by a search in place of greedy decoding: beams, OPERA. Whatever the model's own `generate` does counts. */
import { Tensor } from '@huggingface/transformers';
import type { Intervention, Work } from '../../hooks/model/index.ts';
import type { GreedyOptions } from './greedy.ts';
import type { Written } from './language-model.ts';
import { noCost } from './language-model.ts';
import type { CausalModel } from './pass.ts';

/** A model with interventions, as far as it is looked at here. */
interface Searching {
  readonly attune?: { readonly interventions: readonly Intervention[]; readonly work: Work };
  generate?(options: object): Promise<unknown>;
}

/** Name of the search in force; undefined where tokens are chosen one by one. */
export const searches = (model: CausalModel): string | undefined =>
  (model as Searching).attune?.interventions.find((one) => one.kind.decoding?.(one)?.kind === 'search')
    ?.intervention;

/** @param ids [S] the prompt. */
export async function writeBySearch(
  model: CausalModel,
  ids: readonly number[],
  { until, maxTokens, eos, decode, picture }: GreedyOptions,
): Promise<Omit<Written, 'truncated'>> {
  const searching = model as CausalModel & Searching;
  const S = ids.length;
  const output = await searching.generate!({
    input_ids: new Tensor('int64', BigInt64Array.from(ids, BigInt), [1, S]),
    attention_mask: new Tensor('int64', new BigInt64Array(S).fill(1n), [1, S]),
    ...picture?.inputs,
    max_new_tokens: maxTokens,
    eos_token_id: [...eos],
  });
  const whole = Array.from((output as Tensor).data as BigInt64Array, Number).slice(S);
  const written = whole.filter((token) => !eos.has(token));
  const text = until.reduce((left, end) => left.split(end)[0]!, decode(written));
  const { tokens, calls, ms, promptMs } = searching.attune!.work;
  const decoded = { decodedTokens: tokens - S, decodeMs: ms - promptMs };
  return {
    text,
    tokens: whole.length,
    finite: true,
    cost: { ...noCost, tokens, unsharedTokens: tokens, calls, ms, ...decoded },
  };
}
