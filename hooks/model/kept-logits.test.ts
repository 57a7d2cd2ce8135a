/** num_logits_to_keep in exports that lack it: the logits of the last positions, and the same texts. */
import { Tensor } from '@huggingface/transformers';
import { afterAll, describe, expect, test } from 'vitest';
import { zeroTuning } from '../../interventions/index.ts';
import { loadFixture } from '../../testbed/fixtures/load.ts';
import { load, maxDifference, type TestModel } from './attuned.test-support.ts';

const models: TestModel[] = [];
afterAll(async () => {
  for (const model of models) await model.dispose();
});

const open = async (name: string, options: object): Promise<TestModel> => {
  const model = await load(name, options);
  models.push(model);
  return model;
};

const integers = (data: readonly number[], dims: readonly number[]) =>
  new Tensor('int64', BigInt64Array.from(data, BigInt), [...dims]);

/** Tied and untied heads, a softcap behind the product, caches by Concat and in the operator. */
const NAMES = ['llama-eager', 'llama-gqa', 'gemma2-eager', 'gpt2', 'qwen3-gqa'];

describe.each(NAMES)('%s', (name) => {
  const { prompt } = loadFixture(name).greedy!.single;
  const inputs = {
    input_ids: integers(prompt, [1, prompt.length]),
    attention_mask: integers(
      prompt.map(() => 1),
      [1, prompt.length],
    ),
  };
  const keep = (count: number) => ({ ...inputs, num_logits_to_keep: integers([count], []) });

  test.each([
    ['untouched', []],
    ['ZeroTuning', [zeroTuning({ gamma: 1.4 })]],
  ] as const)('%s: the last rows of all logits, 0 for all', async (_, interventions) => {
    const whole = await open(name, { interventions });
    const kept = await open(name, { interventions, numLogitsToKeep: true });
    const all = (await whole(inputs)).logits;
    const V = all.dims.at(-1)!;
    for (const [count, rows] of [
      [0, prompt.length],
      [1, 1],
      [3, 3],
    ] as const) {
      const { logits } = await kept(keep(count));
      expect(logits.dims).toEqual([1, rows, V]);
      const last = (all.data as Float32Array).subarray((prompt.length - rows) * V);
      expect(maxDifference(logits.data as Float32Array, last)).toBeLessThan(1e-5);
    }
    expect((await kept(inputs)).logits.dims).toEqual([1, prompt.length, V]);
  });

  test('generates the same text', async () => {
    const generate = async (options: object) => {
      const model = (await open(name, options)) as TestModel & { generate(o: object): Promise<Tensor> };
      return (await model.generate({ ...inputs, max_new_tokens: 12, do_sample: false })).tolist();
    };
    expect(await generate({ numLogitsToKeep: true })).toEqual(await generate({}));
  });
});
