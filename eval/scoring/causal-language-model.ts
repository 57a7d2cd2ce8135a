/**
 * A transformers.js decoder as a `LanguageModel`: the beginning that requests share is computed once, and its KV cache
 * serves all of them.
 *
 * Each request goes on from there alone. A batch is no help: CPU GroupQueryAttention takes a cache together with several
 * new tokens for one row only ("batch_size must be 1 when sequence_length > 1 and past context is given"), and alone
 * there is no padding for an intervention to trip over. Exact wherever cached equals uncached; for interventions whose
 * prefill looks at later rows use `share: false`, which runs each request whole, equal ones once.
 */
import { AttuneError } from '../../errors.ts';
import type { ChatTokenizer } from './chat-template.ts';
import { writeGreedily } from './greedy.ts';
import type { Cost, EncodedPicture, LanguageModel, TokenRequest, TokenScore } from './language-model.ts';
import { type CausalModel, Pass, type PassResult } from './pass.ts';
import { searches, writeBySearch } from './search.ts';
import { groupByPrefix, groupEqual, type PrefixGroup } from './shared-prefix.ts';
import { tokenLogProbabilities } from './token-log-probability.ts';

/** The part of a transformers.js tokenizer that is used here. */
export interface CausalTokenizer extends ChatTokenizer {
  encode(text: string, options?: { add_special_tokens?: boolean }): number[];
  decode(ids: number[], options?: { skip_special_tokens?: boolean }): string;
  readonly bos_token_id?: number | null | undefined;
  readonly eos_token_id?: number | null | undefined;
}

export interface CausalOptions {
  /** Compute shared beginnings once. Default true. */
  share?: boolean;
}

/** One request as the model sees it: inputs whose last `targets.length` positions predict `targets`. */
interface TokenRow {
  inputs: number[];
  targets: readonly number[];
  picture: EncodedPicture | undefined;
  truncated: boolean;
}

/**
 * @throws AttuneError MODEL_NO_PREFIX_TOKEN; from `logLikelihoods` SCORE_TOO_LONG and MODEL_OUTPUT.
 */
export function causalLanguageModel(
  model: CausalModel,
  tokenizer: CausalTokenizer,
  { share = true }: CausalOptions = {},
): LanguageModel {
  const maxLength = maxLengthOf(model.config);
  const prefixToken = prefixTokenOf(tokenizer);
  const prefixText = tokenizer.decode([prefixToken]);
  const eos = endTokens(model, tokenizer);

  return {
    maxLength,
    prefixToken,

    encode(text, { specialTokens } = {}) {
      const special = specialTokens ?? !(prefixText !== '' && text.startsWith(prefixText));
      return tokenizer.encode(text, { add_special_tokens: special });
    },

    async generate(prompt, { until, maxTokens, picture }) {
      const room = maxLength - maxTokens;
      if (room < 1) throw tooLong(`${maxTokens} tokens to write`, maxLength - 1);
      const ids = prompt.length > 0 ? prompt : [prefixToken];
      if (picture && ids.length > room)
        throw tooLong(`a prompt with a picture of ${ids.length} tokens`, room);
      // An answer may end before it begins, and the tokenizer refuses an empty list.
      const decode = (tokens: number[]) =>
        tokens.length === 0 ? '' : tokenizer.decode(tokens, { skip_special_tokens: true });
      const write = searches(model) === undefined ? writeGreedily : writeBySearch;
      const written = await write(model, ids.slice(-room), {
        until,
        maxTokens,
        eos,
        decode,
        picture,
      });
      return { ...written, truncated: ids.length > room };
    },

    async logLikelihoods(requests) {
      refuseSearch(model);
      const rows = requests.map((request) => toRow(request, maxLength));
      const inputs = rows.map((row) => row.inputs);
      const groups = share ? groupByPrefix(inputs) : groupEqual(inputs);
      const pass = new Pass(model);
      const tallies = rows.map(() => ({ sum: 0, greedy: true }));
      for (const group of groups) await scoreGroup(pass, rows, tallies, group);
      const unsharedTokens = inputs.reduce((total, { length }) => total + length, 0);
      return {
        scores: tallies.map(({ sum, greedy }, i): TokenScore => {
          // −∞ is a token that decoding cut off; every other infinity is a broken model.
          const logLikelihood = Number.isFinite(sum) || sum === Number.NEGATIVE_INFINITY ? sum : Number.NaN;
          return { logLikelihood, greedy, truncated: (rows[i] as TokenRow).truncated };
        }),
        cost: { ...pass.cost, unsharedTokens } satisfies Cost,
      };
    },
  };
}

/** A search chooses what is written and changes no log-likelihood: to score it by these would show nothing. */
function refuseSearch(model: CausalModel): void {
  const search = searches(model);
  if (search === undefined) return;
  throw new AttuneError('SCORE_BY_SEARCH', {
    at: search,
    found: 'a task that compares log-likelihoods',
    expected: 'a task whose answers are written, which is what a search changes',
  });
}

/** As lm-evaluation-harness cuts: keep the last maxLength inputs, which must hold the whole continuation. */
function toRow({ context, continuation, picture }: TokenRequest, maxLength: number): TokenRow {
  if (continuation.length > maxLength) {
    throw tooLong(`a continuation of ${continuation.length} tokens`, maxLength);
  }
  const inputs = [...context, ...continuation].slice(0, -1);
  const truncated = inputs.length > maxLength;
  if (picture && truncated) throw tooLong(`${inputs.length} tokens with a picture`, maxLength);
  return { inputs: inputs.slice(-maxLength), targets: continuation, picture, truncated };
}

const tooLong = (found: string, most: number): AttuneError =>
  new AttuneError('SCORE_TOO_LONG', { found, expected: `at most the model's ${most}` });

interface Tally {
  sum: number;
  greedy: boolean;
}

async function scoreGroup(
  pass: Pass,
  rows: readonly TokenRow[],
  tallies: readonly Tally[],
  { prefix, rows: members }: PrefixGroup,
): Promise<void> {
  const group = members.map((i) => ({ row: rows[i] as TokenRow, into: tallies[i] as Tally }));
  const wanted = Math.min(...group.map(({ row }) => firstTarget(row)));
  const beginning = (group[0] as (typeof group)[0]).row.inputs.slice(0, prefix);
  const { picture } = (group[0] as (typeof group)[0]).row;
  const shared = await pass.run(beginning, { logitsFrom: Math.min(wanted, prefix - 1), picture });
  for (const { row, into } of group) {
    await tally(row, into, shared, 0);
    if (row.inputs.length === prefix) continue;
    const out = await pass.run(row.inputs.slice(prefix), { past: shared.past, pastLength: prefix });
    await tally(row, into, out, prefix);
    await out.past.dispose();
  }
  await shared.past.dispose();
}

/** Position of a row's inputs whose logits predict its first target. */
const firstTarget = ({ inputs, targets }: TokenRow): number => inputs.length - targets.length;

/** Adds what a pass says about a row's targets. `start` is the position in the row of the pass's first input. */
async function tally(
  row: TokenRow,
  into: Tally,
  { logits, logitsFrom, S, V }: PassResult,
  start: number,
): Promise<void> {
  const first = firstTarget(row);
  const from = Math.max(logitsFrom, first - start);
  if (from >= S) return;
  const wanted = logits.subarray((from - logitsFrom) * V, (S - logitsFrom) * V);
  const targets = row.targets.slice(start + from - first, start + S - first);
  for (const { logProbability, greedy } of await tokenLogProbabilities(wanted, V, targets)) {
    into.sum += logProbability;
    into.greedy &&= greedy;
  }
}

/** As lm-evaluation-harness finds it, with its default for models that do not say. */
function maxLengthOf(config: object): number {
  const { text_config, ...own } = config as Record<string, unknown>;
  for (const source of [(text_config ?? {}) as Record<string, unknown>, own]) {
    for (const name of ['n_positions', 'max_position_embeddings', 'n_ctx']) {
      if (typeof source[name] === 'number') return source[name];
    }
  }
  return 2048;
}

function prefixTokenOf({ bos_token_id, eos_token_id }: CausalTokenizer): number {
  const token = bos_token_id ?? eos_token_id;
  if (token !== undefined && token !== null) return token;
  throw new AttuneError('MODEL_NO_PREFIX_TOKEN', {
    found: 'a tokenizer with neither BOS nor EOS',
    expected: 'one of them, to stand before text that has nothing before it',
  });
}

/** What ends a text, by the tokenizer, the configuration and the generation configuration. */
function endTokens(model: CausalModel, { eos_token_id }: CausalTokenizer): ReadonlySet<number> {
  const configured = [model.config, model.generation_config].map(
    (config) => (config as { eos_token_id?: number | number[] | null } | null | undefined)?.eos_token_id,
  );
  return new Set([eos_token_id, ...configured].flat().filter((id) => id !== null && id !== undefined));
}
