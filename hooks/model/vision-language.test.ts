/** The three-session layout: vision_encoder, embed_tokens, decoder_model_merged. */
import { LlavaForConditionalGeneration, Tensor } from '@huggingface/transformers';
import { afterAll, describe, expect, test } from 'vitest';
import { zeroTuning } from '../../interventions/index.ts';
import { floats, type GoldenTensor, loadFixture } from '../../testbed/fixtures/load.ts';
import { type AttunedModel, findSpans, from_pretrained, type TransformersModel } from './index.ts';

type Model = TransformersModel & AttunedModel & { generate(options: object): Promise<Tensor> };

const models: TransformersModel[] = [];
afterAll(async () => {
  for (const model of models) await model.dispose();
});

async function load(name: string): Promise<Model> {
  const { folder } = loadFixture(name);
  const model = await from_pretrained(LlavaForConditionalGeneration as never, folder, {
    dtype: 'fp32',
    prepare: [zeroTuning.kind],
  });
  models.push(model);
  return model as Model;
}

const { single } = loadFixture('llava').greedy! as unknown as {
  single: { inputs: Record<string, GoldenTensor>; prompt: number[]; tokens: number[] };
};

function promptOf(ids: readonly number[]) {
  const { pixel_values } = single.inputs;
  return {
    input_ids: new Tensor('int64', BigInt64Array.from(ids, BigInt), [1, ids.length]),
    attention_mask: new Tensor('int64', new BigInt64Array(ids.length).fill(1n), [1, ids.length]),
    pixel_values: new Tensor('float32', floats(pixel_values!), [...pixel_values!.shape]),
  };
}

describe.each(['llava', 'llava-gqa'])('%s', (name) => {
  const ids = single.prompt;

  test('generates what PyTorch generates and knows where the image stands', async () => {
    const model = await load(name);
    const output = await model.generate({
      ...promptOf(ids),
      max_new_tokens: 64,
      do_sample: false,
      eos_token_id: null,
    });
    expect((output.tolist() as bigint[][])[0]!.slice(ids.length).map(Number)).toEqual(single.tokens);
    const image = model.config.image_token_index as number;
    const from = ids.indexOf(image);
    expect(model.attune.request.imageSpans).toEqual([{ row: 0, from, to: ids.lastIndexOf(image) + 1 }]);
    expect(model.attune.request.step).toBe(63);
  });

  test('an image without image tokens is refused before it is encoded', async () => {
    const model = await load(name);
    const run = model.generate({ ...promptOf([1, 20, 21]), max_new_tokens: 2 });
    await expect(run).rejects.toThrow(/IMAGE_TOKEN_MISSING/);
  });
});

test('a prompt longer than the context is refused with both lengths', async () => {
  const model = await load('llava');
  const ids = new Array<number>(4000).fill(7);
  const run = model.generate({ ...promptOf(ids), pixel_values: undefined, max_new_tokens: 2 });
  await expect(run).rejects.toThrow(/CONTEXT_EXCEEDED.*4000 tokens/);
});

test('spans are runs of one token, row by row', () => {
  expect(findSpans([[1, 9, 9, 2, 9], [3], [9]], 9)).toEqual([
    { row: 0, from: 1, to: 3 },
    { row: 0, from: 4, to: 5 },
    { row: 2, from: 0, to: 1 },
  ]);
});
