/** What is read is what runs: under every method, in every form, reading changes no output, and the pattern times V is z. */
import { afterAll, describe, expect, test } from 'vitest';
import { batch, load, logits, maxDifference, type TestModel } from '../hooks/model/attuned.test-support.ts';
import type { ActivationCache, Intervention } from '../hooks/model/index.ts';
import { act, headScale, pine, tempScale, zeroTuning } from './index.ts';

const inputs = batch(Array.from({ length: 24 }, (_, i) => 3 + ((i * 7) % 40)));

const METHODS: Readonly<Record<string, Intervention>> = {
  zeroTuning: zeroTuning({ gamma: 2 }),
  tempScale: tempScale({ temperature: 0.7 }),
  act: act({ heads: 'all' }),
  pine: pine({
    documents: [
      [3, 9],
      [9, 13],
      [13, 20],
    ],
  }),
  headScale: headScale({ scale: 0.5, heads: [[0, 1]] }),
};

/** How far the head outputs of the last layer are from its pattern times its values, K of which serve H heads. */
function distance(cache: ActivationCache): number {
  const at = (name: string) => cache.get(`blocks.1.attn.${name}`)!;
  const [pattern, v, z] = [at('hook_pattern'), at('hook_v'), at('hook_z')];
  const [, S, H, D] = z.dims as [number, number, number, number];
  const K = v.dims[2]!;
  let worst = 0;
  for (let h = 0; h < H; h++) {
    for (let s = 0; s < S; s++) {
      for (let d = 0; d < D; d++) {
        let sum = 0;
        const kv = Math.floor((h * K) / H);
        for (let t = 0; t < S; t++) sum += pattern.data[(h * S + s) * S + t]! * v.data[(t * K + kv) * D + d]!;
        worst = Math.max(worst, Math.abs(sum - z.data[(s * H + h) * D + d]!));
      }
    }
  }
  return worst;
}

describe.each(['llama-gqa', 'llama-eager', 'llama-opset23', 'llama-mha'])('%s', (form) => {
  let model: TestModel | undefined;
  afterAll(() => model?.dispose());

  test.each(Object.entries(METHODS))('%s', async (_, method) => {
    model ??= await load(form);
    model.use([method]);
    const own = await logits(model, inputs);
    for (const filter of ['blocks.0.attn.hook_pattern', '**']) {
      const { output, cache } = await model.runWithCache(inputs, filter);
      const read = (output.logits as { data: Float32Array }).data;
      expect(maxDifference(read, own), filter).toBeLessThan(1e-6);
      if (filter === '**') expect(distance(cache)).toBeLessThan(1e-4);
    }
  });
});
