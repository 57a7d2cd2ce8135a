/** The bug users have today, and its correction: left padding on GroupQueryAttention exports. */
import { AutoModelForCausalLM, Tensor } from '@huggingface/transformers';
import { afterAll, describe, expect, test } from 'vitest';
import { loadFixture } from '../../testbed/fixtures/load.ts';
import { isPadded } from '../session/index.ts';
import { from_pretrained, type TransformersModel } from './index.ts';

const { folder, greedy } = loadFixture('llama-gqa');
const rows = greedy!.batch!;
type Callable = (inputs: object) => Promise<{ logits: Tensor }>;

const models: TransformersModel[] = [];
afterAll(async () => {
  for (const model of models) await model.dispose();
});

function tensor(values: readonly (readonly number[])[]): Tensor {
  return new Tensor('int64', BigInt64Array.from(values.flat(), BigInt), [values.length, values[0]!.length]);
}

const length = Math.max(...rows.prompts.map((prompt) => prompt.length)) + 3;
const pads = rows.prompts.map((prompt) => new Array<number>(length - prompt.length).fill(0));
const padded = {
  input_ids: tensor(rows.prompts.map((prompt, row) => [...pads[row]!.map(() => rows.padTokenId), ...prompt])),
  attention_mask: tensor(rows.prompts.map((prompt, row) => [...pads[row]!, ...prompt.map(() => 1)])),
};

/** Largest difference between a row of the padded batch and its own unpadded run, over logits of the last token. */
async function worstRow(model: Callable): Promise<number[]> {
  const { logits } = await model(padded);
  const [, S, V] = logits.dims as [number, number, number];
  const together = logits.data as Float32Array;
  return Promise.all(
    rows.prompts.map(async (prompt, row) => {
      const alone = (
        await model({ input_ids: tensor([prompt]), attention_mask: tensor([prompt.map(() => 1)]) })
      ).logits;
      const want = (alone.data as Float32Array).subarray((prompt.length - 1) * V);
      const have = together.subarray((row * S + S - 1) * V, (row + 1) * S * V);
      return want.reduce((worst, value, i) => Math.max(worst, Math.abs(value - have[i]!)), 0);
    }),
  );
}

describe('left-padded rows of a GroupQueryAttention export', () => {
  test('are wrong on the plain path: this is what attune corrects', async () => {
    const plain = await AutoModelForCausalLM.from_pretrained(folder, { dtype: 'fp32' });
    models.push(plain as never);
    for (const difference of await worstRow(plain as never)) expect(difference).toBeGreaterThan(0.5);
  });

  test('equal their unpadded runs with attune', async () => {
    const model = await from_pretrained(AutoModelForCausalLM as never, folder, { dtype: 'fp32' });
    models.push(model);
    for (const difference of await worstRow(model as never)) expect(difference).toBeLessThan(1e-4);
  });

  test('padding: false leaves the export as it is', async () => {
    const model = await from_pretrained(AutoModelForCausalLM as never, folder, {
      dtype: 'fp32',
      padding: false,
    });
    models.push(model);
    for (const difference of await worstRow(model as never)) expect(difference).toBeGreaterThan(0.5);
  });
});

test.each([
  { type: 'int64', real: BigInt64Array.of(1n, 1n, 1n, 1n), padded: BigInt64Array.of(0n, 1n, 1n, 1n) },
  { type: 'int32', real: Int32Array.of(1, 1, 1, 1), padded: Int32Array.of(1, 1, 1, 0) },
  { type: 'float32', real: Float32Array.of(1, 1, 1, 1), padded: Float32Array.of(1, 1, 0, 1) },
])('isPadded sees a hidden token in a mask of $type', ({ type, real, padded: hidden }) => {
  const mask = (data: unknown) => ({ attention_mask: { type, dims: [2, 2], data } });
  expect(isPadded(mask(real))).toBe(false);
  expect(isPadded(mask(hidden))).toBe(true);
  expect(isPadded({})).toBe(false);
});

test('the correction comes with the first padded batch, and unpadded runs before it are the export itself', async () => {
  const plain = await AutoModelForCausalLM.from_pretrained(folder, { dtype: 'fp32' });
  const model = await from_pretrained(AutoModelForCausalLM as never, folder, { dtype: 'fp32' });
  models.push(plain as never, model);
  const [prompt] = rows.prompts;
  const alone = { input_ids: tensor([prompt!]), attention_mask: tensor([prompt!.map(() => 1)]) };
  const logits = async (of: unknown, inputs: object) => [
    ...((await (of as Callable)(inputs)).logits.data as Float32Array),
  ];
  const want = await logits(plain, alone);
  expect(await logits(model, alone)).toEqual(want);
  expect(await logits(model, padded)).not.toEqual(await logits(plain, padded));
  expect(await logits(model, alone)).toEqual(want);
});
