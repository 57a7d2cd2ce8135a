/** What is refused before anything runs, in the caller's words. */
import { Tensor } from '@huggingface/transformers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { headScale } from '../../interventions/index.ts';
import { batch, load, logits, prompt, type TestModel } from './attuned.test-support.ts';

let model: TestModel;
let other: TestModel;
beforeAll(async () => {
  model = await load('llama-gqa');
  other = await load('qwen2-gqa');
});
afterAll(async () => {
  await model.dispose();
  await other.dispose();
});

const int64 = (values: readonly number[], ...dims: number[]) =>
  new Tensor('int64', BigInt64Array.from(values, BigInt), dims);
const S = prompt.length;
const { input_ids } = batch(prompt);
const none = (...dims: number[]) => ({ input_ids: int64([], ...dims), attention_mask: int64([], ...dims) });

describe.each([
  ['generate', (inputs: object) => model.generate({ max_new_tokens: 2, ...inputs })],
  ['a call', (inputs: object) => model(inputs)],
])('%s', (_, run) => {
  test.each([
    ['no tokens', none(1, 0), /PROMPT_EMPTY.*input_ids of shape \[1, 0\]/],
    ['no rows', none(0, 4), /PROMPT_EMPTY.*\[0, 4\]/],
    ['a row of padding', batch(prompt, []), /PROMPT_EMPTY.*row 1 of 2/],
    [
      'a short mask',
      { input_ids, attention_mask: int64([1, 1], 1, 2) },
      new RegExp(`MASK_MISMATCH.*\\[1, 2\\].*\\[1, ${S}\\]`),
    ],
    [
      'a mask of other rows',
      { input_ids, attention_mask: int64(new Array(2 * S).fill(1), 2, S) },
      /MASK_MISMATCH/,
    ],
    ['an id below 0', batch([3, -1, 5]), /TOKEN_INVALID.*row 0, token 1.*-1/],
    [
      'ids as floats',
      { ...batch([3, 4]), input_ids: new Tensor('float32', Float32Array.of(3, 4), [1, 2]) },
      /TOKEN_INVALID.*float32/,
    ],
    ['an id beyond the vocabulary', batch([3, 99_999_999]), /RUN_FAILED/],
  ])('%s', async (_name, inputs, message) => {
    await expect(run(inputs)).rejects.toThrow(message);
  });
});

describe('a cache', () => {
  const pastOf = async (of: TestModel) => {
    const output = (await of(batch(prompt))) as unknown as Record<string, Tensor>;
    return Object.fromEntries(
      Object.entries(output)
        .filter(([name]) => name.startsWith('present'))
        .map(([name, tensor]) => [name.replace('present', 'past_key_values'), tensor]),
    );
  };
  const next = (past: object, T = S + 1) => ({
    input_ids: int64([7], 1, 1),
    attention_mask: int64(new Array(T).fill(1), 1, T),
    past_key_values: past,
  });
  /** Without its last token. */
  const cut = (tensor: Tensor) => {
    const [B, K, T, D] = tensor.dims as [number, number, number, number];
    const data = new Float32Array(B * K * (T - 1) * D);
    for (let k = 0; k < B * K; k++) {
      data.set((tensor.data as Float32Array).subarray(k * T * D, (k * T + T - 1) * D), k * (T - 1) * D);
    }
    return new Tensor('float32', data, [B, K, T - 1, D]);
  };

  test('of the model goes on', async () => {
    expect((await logits(model, next(await pastOf(model)))).every(Number.isFinite)).toBe(true);
  });

  test('cut in some layers, cut without its mask, of another model', async () => {
    const past = await pastOf(model);
    const [first] = Object.keys(past);
    await expect(model(next({ ...past, [first!]: cut(past[first!]!) }))).rejects.toThrow('CACHE_MISMATCH');
    const all = Object.fromEntries(Object.entries(past).map(([name, tensor]) => [name, cut(tensor)]));
    await expect(model(next(all))).rejects.toThrow(/MASK_MISMATCH.*cached tokens and 1 in input_ids/);
    expect((await logits(model, next(all, S))).every(Number.isFinite)).toBe(true);
    await expect(model(next(await pastOf(other)))).rejects.toThrow(/CACHE_MISMATCH.*past_key_values/);
  });
});

test('padding at the end is refused where something is written, and is fine in a call', async () => {
  const mask = new Array(S).fill(1);
  mask[S - 1] = 0;
  const inputs = { input_ids, attention_mask: int64(mask, 1, S) };
  await expect(model.generate({ ...inputs, max_new_tokens: 1 })).rejects.toThrow(/PADDING_RIGHT.*row 0/);
  expect((await logits(model, inputs)).length).toBeGreaterThan(0);
});

test('logits that are not finite are an error of the step, not token 0', async () => {
  const broken = model.with([headScale({ scale: 3e38 })]);
  await expect(broken.generate({ ...batch(prompt), max_new_tokens: 3 })).rejects.toThrow(
    /LOGITS_NOT_FINITE.*step 0 of the generation/,
  );
});

test('what is no list of interventions says what to write', () => {
  const use = (given: unknown) => () => model.use(given as never);
  expect(use(headScale({ scale: 1 }))).toThrow(/INTERVENTIONS_EXPECTED.*one intervention/);
  expect(use(['zerotuning'])).toThrow(
    /INTERVENTIONS_EXPECTED.*"zerotuning" as number 0.*intervention: 'zerotuning'/,
  );
  expect(use([headScale])).toThrow(/not called as number 0.*Call it/);
});
