/** The bug users have today, and its correction: left padding on GroupQueryAttention exports. */
import { AutoModelForCausalLM, Tensor } from '@huggingface/transformers';
import { afterAll, describe, expect, test } from 'vitest';
import { loadFixture } from '../../testbed/fixtures/load.ts';
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
