/** For the tests of interventions: fixtures as models, their prompts as batches, what flows in the first layer. */
import { AutoModelForCausalLM, Tensor } from '@huggingface/transformers';
import { loadFixture } from '../../testbed/fixtures/load.ts';
import type { Activation, AttunedModel, TransformersModel } from './index.ts';
import { from_pretrained } from './index.ts';

export type TestModel = TransformersModel &
  AttunedModel & { generate(options: object): Promise<Tensor> } & ((
    inputs: object,
  ) => Promise<{ logits: Tensor }>);

/** One Llama, as a decomposed export and with GroupQueryAttention: the same weights. */
export const FORMS = ['llama-eager', 'llama-gqa'] as const;

export const prompt = loadFixture(FORMS[0]).greedy!.single.prompt;

export async function load(name: string, options: object = {}): Promise<TestModel> {
  const { folder } = loadFixture(name);
  const model = await from_pretrained(AutoModelForCausalLM, folder, { dtype: 'fp32', ...options });
  return model as TestModel;
}

/** Logits of the untouched model, without attune. */
export async function plainLogits(name: string, inputs: object): Promise<Float32Array> {
  const model = await AutoModelForCausalLM.from_pretrained(loadFixture(name).folder, { dtype: 'fp32' });
  try {
    return await logits(model as unknown as TestModel, inputs);
  } finally {
    await model.dispose();
  }
}

export async function logits(model: TestModel, inputs: object): Promise<Float32Array> {
  return (await model(inputs)).logits.data as Float32Array;
}

/** Rows padded on the left to one length. */
export function batch(...rows: readonly (readonly number[])[]) {
  const length = Math.max(...rows.map((row) => row.length));
  const tensor = (value: (token: number) => number) => {
    const padded = rows.flatMap((row) => [
      ...new Array<number>(length - row.length).fill(0),
      ...row.map(value),
    ]);
    return new Tensor('int64', BigInt64Array.from(padded, BigInt), [rows.length, length]);
  };
  return { input_ids: tensor((token) => token), attention_mask: tensor(() => 1) };
}

/** One activation of a run. */
export async function activation(model: TestModel, inputs: object, name: string): Promise<Activation> {
  const { cache } = await model.runWithCache(inputs, name);
  return cache.get(name)!;
}

export function maxDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Number.NaN;
  return Array.from(a).reduce((worst, value, i) => Math.max(worst, Math.abs(value - b[i]!)), 0);
}

/** A new [B,H,S,T] tensor, row by row of T. */
export function mapRows(
  { dims, data }: Pick<Activation, 'dims' | 'data'>,
  change: (row: Float32Array, at: { b: number; h: number; s: number }) => ArrayLike<number>,
): Float32Array {
  const [, H, S, T] = dims as [number, number, number, number];
  const result = new Float32Array(data.length);
  for (let i = 0; i * T < data.length; i++) {
    const at = { b: Math.floor(i / (H * S)), h: Math.floor(i / S) % H, s: i % S };
    result.set(change(data.subarray(i * T, (i + 1) * T), at), i * T);
  }
  return result;
}
