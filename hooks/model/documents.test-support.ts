/** For the tests of PINE: prompts of documents in any order, on fixtures of every rotary form. */
import { Tensor } from '@huggingface/transformers';
import { loadFixture } from '../../testbed/fixtures/load.ts';
import type { TestModel } from './attuned.test-support.ts';

export interface DocumentPrompt {
  readonly ids: readonly number[];
  readonly spans: readonly [number, number][];
  readonly suffix: number;
}

/** Every rotary form without a sliding window: the operator's, RotaryEmbedding nodes, written out; whole, partial, pairs. */
export const ROTARY_FORMS = [
  'llama-eager',
  'llama-sdpa',
  'llama-gqa',
  'llama-gqa-separate',
  'llama-mha',
  'llama-dynamo',
  'llama-opset23',
  'llama3-rope-gqa',
  'qwen2-eager',
  'qwen2-gqa',
  'qwen3-sdpa',
  'qwen3-gqa',
  'phi3-eager',
  'phi3-gqa',
  'gpt-neox',
  'gptj',
] as const;

/** Lengths of the documents in their first order: different, one of a single token. */
const LENGTHS = [4, 7, 1, 5, 3];
const PREFIX = 3;
const SUFFIX = 5;

/** Tokens of a fixture's own prompt, enough of them, no two documents alike. */
function tokensOf(name: string): number[] {
  const { prompt, tokens } = loadFixture(name).greedy!.single;
  const all = [...prompt, ...tokens];
  return Array.from(
    { length: PREFIX + SUFFIX + LENGTHS.reduce((a, b) => a + b) },
    (_, i) => all[i % all.length]!,
  );
}

/** @param order which document stands where */
export function documentPrompt(name: string, order: readonly number[], suffix = SUFFIX): DocumentPrompt {
  const all = tokensOf(name);
  const pieces = LENGTHS.map((length, i) => {
    const from = PREFIX + LENGTHS.slice(0, i).reduce((a, b) => a + b, 0);
    return all.slice(from, from + length);
  });
  const documents = order.map((j) => pieces[j]!);
  const start = (i: number) => documents.slice(0, i).reduce((at, { length }) => at + length, PREFIX);
  const spans = documents.map((_, i): [number, number] => [start(i), start(i + 1)]);
  return {
    ids: [...all.slice(0, PREFIX), ...documents.flat(), ...all.slice(all.length - SUFFIX).slice(0, suffix)],
    spans,
    suffix,
  };
}

export function permutations(k: number): number[][] {
  if (k === 0) return [[]];
  return permutations(k - 1).flatMap((rest) =>
    Array.from({ length: k }, (_, at) => [...rest.slice(0, at), k - 1, ...rest.slice(at)]),
  );
}

/** Logits [n, V] of the last n tokens of a row. */
export function lastLogits({ dims, data }: Tensor, n: number, row = 0): Float32Array {
  const [, S, V] = dims as [number, number, number];
  return (data as Float32Array).slice(((row + 1) * S - n) * V, (row + 1) * S * V);
}

/** New tokens of every row. */
export async function greedyTokens(model: TestModel, inputs: { input_ids: Tensor }, count: number) {
  const generating = model as unknown as { generate(options: object): Promise<Tensor> };
  const output = await generating.generate({
    ...inputs,
    max_new_tokens: count,
    do_sample: false,
    eos_token_id: null,
  });
  const length = inputs.input_ids.dims[1]!;
  return (output.tolist() as bigint[][]).map((row) => row.slice(length).map(Number));
}

/** The cache of a call, as the inputs of the next. */
export function cacheOf(output: object): object {
  const entries = Object.entries(output).filter(([name]) => name.startsWith('present'));
  return {
    past_key_values: Object.fromEntries(
      entries.map(([name, value]) => [name.replace('present', 'past_key_values'), value]),
    ),
  };
}

/** Tokens that go on after `past` cached ones. */
export function more(ids: readonly number[], past: number) {
  return {
    input_ids: new Tensor('int64', BigInt64Array.from(ids, BigInt), [1, ids.length]),
    attention_mask: new Tensor('int64', new BigInt64Array(past + ids.length).fill(1n), [
      1,
      past + ids.length,
    ]),
  };
}
