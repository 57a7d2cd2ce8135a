/** Bounded caches in a model's own calls: what is evicted, what is hidden, what it may stand beside. */
import { Tensor } from '@huggingface/transformers';
import { afterAll, describe, expect, test } from 'vitest';
import { load, maxDifference, type TestModel } from '../hooks/model/attuned.test-support.ts';
import { SCORES } from './keep-cache/scores/index.ts';
import { keepCache } from './keep-cache.ts';

const models: TestModel[] = [];
afterAll(async () => {
  for (const model of models) await model.dispose();
});
async function loaded(name: string, options: object = {}) {
  const model = await load(name, options);
  models.push(model);
  return model;
}

type Given = Parameters<typeof keepCache>[0];

const ROWS = [
  Array.from({ length: 34 }, (_, i) => (i * 37 + 5) % 60),
  Array.from({ length: 34 }, (_, i) => (i < 5 ? -1 : (i * 17 + 3) % 60)),
];

const int64 = (values: readonly number[], dims: readonly number[]) =>
  new Tensor('int64', BigInt64Array.from(values, BigInt), [...dims]);

/** Logits of a stream in calls of so many tokens each; ids below 0 are padding. */
async function stream(model: TestModel, rows: readonly (readonly number[])[], calls: readonly number[]) {
  const found: Float32Array[] = [];
  let past: object | undefined;
  let from = 0;
  for (const S of calls) {
    const here = rows.map((row) => row.slice(from, from + S));
    from += S;
    const outputs = (await model({
      input_ids: int64(
        here.flat().map((id) => Math.max(id, 0)),
        [rows.length, S],
      ),
      attention_mask: int64(
        rows.flatMap((row) => row.slice(0, from).map((id) => (id < 0 ? 0 : 1))),
        [rows.length, from],
      ),
      ...(past && { past_key_values: past }),
    })) as unknown as Record<string, Tensor>;
    past = Object.fromEntries(
      Object.entries(outputs)
        .filter(([name]) => name.startsWith('present'))
        .map(([name, tensor]) => [name.replace('present', 'past_key_values'), tensor]),
    );
    const { dims, data } = outputs.logits as unknown as { dims: number[]; data: Float32Array };
    const V = dims[2]!;
    for (let b = 0; b < rows.length; b++) found.push(data.slice((b * S + S - 1) * V, (b + 1) * S * V));
  }
  return { logits: found, past: past as Record<string, Tensor> };
}

/** A prompt, then tokens one by one; where an operator takes several behind a cache, for one row, also those. */
const STEPS = [16, ...Array<number>(14).fill(1)];
const CHUNKS = [16, 1, 1, 1, 4, 1, 1, 1, 3, 1, 1, 1];

async function farthest(a: TestModel, one: Given, b: TestModel, other: Given, alone: boolean) {
  const [rows, calls] = alone ? [ROWS.slice(0, 1), CHUNKS] : [ROWS, STEPS];
  const [x, y] = [
    await stream(a.with([keepCache(one)]), rows, calls),
    await stream(b.with([keepCache(other)]), rows, calls),
  ];
  const held = Object.values(x.past)[0]!.dims[2]!;
  expect(held, 'keys that are held').toBeLessThan(15);
  return Math.max(...x.logits.map((logits, i) => maxDifference(logits, y.logits[i]!)));
}

const FED = [
  'llama-eager',
  'llama-sdpa',
  'llama-gqa-separate',
  'llama-mha',
  'llama-opset23',
  'llama-dynamo',
  'gpt-neox',
  'gptj',
  'phi3-eager',
  'qwen3-sdpa',
];
const COUNTED = ['llama-gqa', 'llama3-rope-gqa', 'phi3-gqa', 'qwen3-gqa', 'qwen2-gqa'];

describe.each([...FED, 'gpt2', ...COUNTED])('%s', (name) => {
  test('what is evicted is as if it were hidden', async () => {
    const model = await loaded(name);
    for (const { name: score } of SCORES) {
      for (const positions of ['true', ...(FED.includes(name) ? ['slots'] : [])] as const) {
        // Keys are compared where they stand: a renumbered cache and its twin have them at the same places.
        const spec = { score, budget: 9, sinks: 2, recent: 2, every: 2, positions } as Given;
        for (const alone of [false, ...(name === 'llama-mha' ? [] : [true])]) {
          const twin = { ...(spec as object), hold: 'mask' } as Given;
          const off = await farthest(model, spec, model, twin, alone);
          expect(off, `${score}, ${positions}, ${alone ? 'alone' : 'batch'}`).toBeLessThan(1e-4);
        }
      }
    }
  }, 60_000);
});
