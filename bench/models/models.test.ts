/** The generators at sizes a test can afford. The large models themselves are made by the benchmarks. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { afterAll, describe, expect, test } from 'vitest';
import { randomParameters } from '../../testbed/builders/parameters.ts';
import { type AttentionForm, attentionLayer } from './attention-layer.ts';
import { cached } from './cache.ts';

const folder = mkdtempSync(join(tmpdir(), 'attune-bench-'));
afterAll(() => rmSync(folder, { recursive: true }));

test('a model is generated once', async () => {
  let runs = 0;
  const make = async (path: string) => {
    runs++;
    writeFileSync(path, 'model');
  };
  const path = await cached('model.onnx', make, folder);
  expect(await cached('model.onnx', make, folder)).toBe(path);
  expect(runs).toBe(1);
  expect(readFileSync(path, 'utf8')).toBe('model');
});

test('a generator that fails leaves nothing behind that looks finished', async () => {
  const make = async () => {
    throw new RangeError('disk full');
  };
  await expect(cached('broken.onnx', make, folder)).rejects.toThrow('disk full');
  expect(existsSync(join(folder, 'broken.onnx'))).toBe(false);
});

describe('attention layer', () => {
  const shape = { numHeads: 8, numKeyValueHeads: 2, headDim: 16 };
  const { numHeads: H, numKeyValueHeads: K, headDim: D } = shape;
  const random = randomParameters('attention');

  /** z and present_key of a form, S new tokens after P. */
  async function run(form: AttentionForm, B: number, S: number, P: number): Promise<number[][]> {
    const session = await InferenceSession.create(await attentionLayer(form, shape));
    const values = (name: string, dims: number[]) =>
      // The distribution of an embedding: variance 1, so that patterns are far from uniform.
      new Tensor('float32', random.float(`${name}.embed_tokens.weight`, dims), dims);
    const feeds: Record<string, Tensor> = {
      q: values('q', [B, S, H * D]),
      k: values('k', [B, S, K * D]),
      v: values('v', [B, S, K * D]),
      past_key: values('past_key', [B, K, P, D]),
      past_value: values('past_value', [B, K, P, D]),
    };
    if (form === 'gqa') {
      feeds.seqlens_k = new Tensor('int32', new Int32Array(B).fill(P + S - 1), [B]);
      feeds.total_sequence_length = new Tensor('int32', Int32Array.of(P + S), []);
    }
    const { z, present_key } = await session.run(feeds);
    await session.release();
    return [[...(z!.data as Float32Array)], [...(present_key!.data as Float32Array)]];
  }

  test.each([
    { B: 2, S: 9, P: 0 },
    { B: 2, S: 1, P: 7 },
    // CPU GroupQueryAttention takes several new tokens after a past for B = 1 only.
    { B: 1, S: 4, P: 5 },
  ])('all forms agree for B = $B, S = $S after $P', async ({ B, S, P }) => {
    const [z, key] = await run('decomposed', B, S, P);
    expect(z).toHaveLength(B * S * H * D);
    for (const form of ['gqa', 'attention-23'] as const) {
      const [otherZ, otherKey] = await run(form, B, S, P);
      expect(otherKey).toEqual(key);
      expect(Math.max(...z!.map((value, i) => Math.abs(value - otherZ![i]!)))).toBeLessThan(1e-6);
    }
  });
});
