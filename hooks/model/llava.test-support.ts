/** For tests of vision-language interventions: the LLaVA fixtures as models, prompts with images, cached decoding. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { LlavaForConditionalGeneration, Tensor } from '@huggingface/transformers';
import { floats, type GoldenTensor, loadFixture } from '../../testbed/fixtures/load.ts';
import type { AttunedModel, TransformersModel } from './index.ts';
import { from_pretrained } from './index.ts';

export type Output = { logits: Tensor } & Record<string, Tensor>;
export type LlavaModel = TransformersModel &
  AttunedModel & { generate(options: object): Promise<Tensor> } & ((inputs: object) => Promise<Output>);

/** One model, with a decomposed decoder and with GroupQueryAttention: the same weights. */
export const LLAVA_FORMS = ['llava', 'llava-gqa'] as const;

export const IMAGE_TOKEN = 3;

/** A run by PyTorch (make/interventions.py). */
export interface LlavaCase {
  readonly text: string;
  readonly spec: { readonly intervention: string } & Readonly<Record<string, unknown>>;
  readonly prompt: readonly number[];
  readonly pixels: GoldenTensor;
  /** The 16 tokens fed one by one after the prompt. */
  readonly tokens: readonly number[];
  /** Logits [S, V] of the prompt and [16, V] of the tokens. */
  readonly prefill: GoldenTensor;
  readonly steps?: GoldenTensor;
  /** Next-token scores [16, V] after a contrast of streams, where the case has one: the tokens are chosen from them. */
  readonly scores?: GoldenTensor;
  readonly about: Readonly<Record<string, unknown>>;
}

export function llavaCases(): readonly LlavaCase[] {
  const path = join(loadFixture('llava').folder, 'interventions.json');
  return (JSON.parse(readFileSync(path, 'utf8')) as { cases: LlavaCase[] }).cases;
}

export async function loadLlava(name: string, options: object = {}): Promise<LlavaModel> {
  const { folder } = loadFixture(name);
  const model = await from_pretrained(LlavaForConditionalGeneration as never, folder, {
    dtype: 'fp32',
    ...options,
  });
  return model as unknown as LlavaModel;
}

/** Rows as the prompts of a batch, padded on the left; the images of all rows, in their order. */
export function imagePrompts(rows: readonly (readonly number[])[], pixels: readonly GoldenTensor[] = []) {
  const length = Math.max(...rows.map((row) => row.length));
  const tensor = (value: (token: number) => number) => {
    const padded = rows.flatMap((row) => [
      ...new Array<number>(length - row.length).fill(0),
      ...row.map(value),
    ]);
    return new Tensor('int64', BigInt64Array.from(padded, BigInt), [rows.length, length]);
  };
  const prompts = { input_ids: tensor((token) => token), attention_mask: tensor(() => 1) };
  if (pixels.length === 0) return prompts;
  const data = pixels.flatMap((image) => Array.from(floats(image)));
  const count = pixels.reduce((sum, { shape }) => sum + shape[0]!, 0);
  const dims = [count, ...pixels[0]!.shape.slice(1)];
  return { ...prompts, pixel_values: new Tensor('float32', Float32Array.from(data), dims) };
}

/** The next call of a cached sequence: one token for each row. */
export function nextTokens(tokens: readonly number[], mask: Tensor, output: Output) {
  const rows = tokens.length;
  const seen = Array.from(mask.data as BigInt64Array);
  const width = seen.length / rows;
  const longer = tokens.flatMap((_, row) => [...seen.slice(row * width, (row + 1) * width), 1n]);
  const cache = Object.entries(output).filter(([key]) => key.startsWith('present'));
  return {
    input_ids: new Tensor('int64', BigInt64Array.from(tokens, BigInt), [rows, 1]),
    attention_mask: new Tensor('int64', BigInt64Array.from(longer), [rows, width + 1]),
    past_key_values: Object.fromEntries(
      cache.map(([key, value]) => [key.replace('present', 'past_key_values'), value]),
    ),
  };
}

/** Logits of a prompt [B, S, V] and of each token that follows [B, 1, V]. */
export async function decodeLogits(
  model: LlavaModel,
  prompts: ReturnType<typeof imagePrompts>,
  tokens: readonly (readonly number[])[],
): Promise<Float32Array[]> {
  let output = await model(prompts);
  let mask = prompts.attention_mask;
  const logits = [output.logits.data as Float32Array];
  for (const step of tokens) {
    const next = nextTokens(step, mask, output);
    output = await model(next);
    mask = next.attention_mask;
    logits.push(output.logits.data as Float32Array);
  }
  return logits;
}
