/**
 * The shipped models load with transformers.js as any Hub folder does, in every form, and agree with PyTorch: logits after
 * the prompt and the greedy answer of `golden.json`, whose items and pictures come from the worlds at run time.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import {
  AutoModelForCausalLM,
  AutoModelForImageTextToText,
  AutoProcessor,
  AutoTokenizer,
  env,
  type PreTrainedModel,
  type PreTrainedTokenizer,
  type Processor,
  RawImage,
  type Tensor,
} from '@huggingface/transformers';
import { beforeAll, describe, expect, test } from 'vitest';
import { pictureItems, render } from '../eval/data/worlds/pictures/index.ts';
import { textItems } from '../eval/data/worlds/text/index.ts';

interface GoldenCase {
  item?: string;
  scene?: string;
  pixels_sha256?: string;
  chat?: boolean;
  text_prompt?: string;
  ids: number[];
  logits: number[];
  answer: number[];
  text: string;
}

const LM = 'worlds-lm';
const VLM = 'worlds-vlm';
const folder = new URL('./models/', import.meta.url);
const golden = (model: string): GoldenCase[] =>
  JSON.parse(readFileSync(new URL(`${model}/golden.json`, folder), 'utf8')).cases;

beforeAll(() => {
  env.localModelPath = folder.pathname;
  env.allowRemoteModels = false;
});

const maxError = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  expect(a.length).toBe(b.length);
  return Array.from(a).reduce((worst, x, i) => Math.max(worst, Math.abs(x - b[i]!)), 0);
};

/** Logits of the last position, [V]. */
const last = (logits: Tensor): Float32Array => {
  const V = logits.dims.at(-1)!;
  return (logits.data as Float32Array).slice(-V);
};

/** float32 against float32 in another order of summation; logits are of order 10. */
const TOLERANCE = 2e-3;

/** Pearson's r: coarse weights move logits, they must not scramble them. */
const correlation = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  const [x, y] = [a, b].map((values) => {
    const mean = Array.from(values).reduce((sum, v) => sum + v, 0) / values.length;
    return Array.from(values, (v) => v - mean);
  }) as [number[], number[]];
  const dot = (p: number[], q: number[]): number => p.reduce((sum, v, i) => sum + v * q[i]!, 0);
  return dot(x, y) / Math.sqrt(dot(x, x) * dot(y, y));
};

const promptOf = ({ item, text_prompt }: GoldenCase): string => {
  if (text_prompt !== undefined) return text_prompt;
  const [task, split, seed, i] = item!.split('/') as ['documents', 'test', string, string];
  return textItems(task, split, Number(i) + 1, Number(seed))[Number(i)]!.prompt;
};

describe.each([
  { form: 'decomposed', options: { dtype: 'fp32' } as const, exact: true },
  {
    form: 'GroupQueryAttention',
    options: { dtype: 'fp32', model_file_name: 'model_gqa' } as const,
    exact: true,
  },
  {
    form: 'GroupQueryAttention, int4',
    options: { dtype: 'q4', model_file_name: 'model_gqa' } as const,
    exact: false,
  },
])('language model, $form', ({ options, exact }) => {
  let tokenizer: PreTrainedTokenizer;
  let model: PreTrainedModel;
  beforeAll(async () => {
    tokenizer = await AutoTokenizer.from_pretrained(LM);
    model = await AutoModelForCausalLM.from_pretrained(LM, options);
  });

  test('token ids, logits and greedy answers are those of PyTorch', async () => {
    for (const example of golden(LM)) {
      const prompt = promptOf(example);
      const inputs = example.chat
        ? tokenizer.apply_chat_template([{ role: 'user', content: prompt }], {
            add_generation_prompt: true,
            return_dict: true,
          })
        : tokenizer(prompt);
      const { input_ids } = inputs as { input_ids: Tensor };
      expect(Array.from(input_ids.data as BigInt64Array, Number)).toEqual(example.ids);
      const { logits } = await model(inputs);
      if (exact) expect(maxError(last(logits), example.logits)).toBeLessThan(TOLERANCE);
      else expect(correlation(last(logits), example.logits)).toBeGreaterThan(0.95);
      const output = (await model.generate({ ...inputs, max_new_tokens: 24 })) as Tensor;
      const answer = Array.from(output.data as BigInt64Array, Number).slice(example.ids.length);
      if (exact) expect(answer).toEqual(example.answer);
      else expect(answer.length).toBeGreaterThan(0);
    }
  });
});

describe.each([
  { form: 'decomposed', decoder: 'fp32', exact: true },
  { form: 'decomposed, int8', decoder: 'q8', exact: false },
  { form: 'GroupQueryAttention, int4', decoder: 'q4', exact: false },
] as const)('vision-language model, $form', ({ decoder, exact }) => {
  let processor: Processor;
  let model: PreTrainedModel;
  beforeAll(async () => {
    processor = await AutoProcessor.from_pretrained(VLM);
    model = await AutoModelForImageTextToText.from_pretrained(VLM, {
      dtype: { vision_encoder: 'fp32', embed_tokens: 'fp32', decoder_model_merged: decoder },
    });
  });

  test('pictures, token ids, logits and greedy answers are those of PyTorch', async () => {
    for (const example of golden(VLM)) {
      const task = example.item!.split(/[-/]/)[0] as 'existence';
      const item = pictureItems(task, 'test', 1)[0]!;
      expect([item.id, item.scene.id]).toEqual([example.item, example.scene]);
      const { data, width, height } = render(item.scene);
      expect(createHash('sha256').update(data).digest('hex')).toBe(example.pixels_sha256);

      const text = processor.apply_chat_template([{ role: 'user', content: `<image>\n${item.prompt}` }], {
        add_generation_prompt: true,
      }) as string;
      const image = new RawImage(Uint8ClampedArray.from(data), width, height, 3);
      const inputs = await processor(image, text, { add_special_tokens: false });
      const ids = Array.from(inputs.input_ids.data as BigInt64Array, Number);
      expect(ids).toEqual(example.ids);
      const { logits } = await model(inputs);
      if (exact) expect(maxError(last(logits), example.logits)).toBeLessThan(TOLERANCE);
      else expect(correlation(last(logits), example.logits)).toBeGreaterThan(0.95);
      const output = (await model.generate({ ...inputs, max_new_tokens: 24 })) as Tensor;
      const answer = Array.from(output.data as BigInt64Array, Number).slice(ids.length);
      if (exact) expect(answer).toEqual(example.answer);
      else expect(answer.length).toBeGreaterThan(0);
    }
  });
});
