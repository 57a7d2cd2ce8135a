/** Points that no exporter writes out: scores of fused operators, results head by head. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openModel } from '../../onnx/index.ts';
import { recognise } from '../../sites/index.ts';
import { locatePoints } from '../../sites/points/index.ts';
import { loadFixture } from '../../testbed/fixtures/load.ts';
import { feedsOf, run } from '../session/fixture-runs.test-support.ts';
import type { OrtTensor } from '../session/index.ts';

async function tapAll(name: string): Promise<ReadonlyMap<string, OrtTensor>> {
  const fixture = loadFixture(name);
  const path = fixture.files[0]!.file;
  const file = await openModel(join(fixture.folder, path));
  const recognition = recognise(file.model, { source: file.source });
  const points = locatePoints(recognition).filter(({ source }) => source.from !== 'nowhere');
  const { tapped } = await run(
    file,
    recognition,
    points,
    await feedsOf(fixture, path, file, fixture.cases[0]!),
  );
  file.close();
  return tapped;
}

const floats = (tensor: OrtTensor | undefined) => tensor!.data as Float32Array;

test.each([
  'llama-eager',
  'llama-gqa',
  'llama-gqa-separate',
  'llama-mha',
  'llama-opset23',
  'mistral-gqa',
  'gemma2-gqa',
  'bert-mha',
  'bert-fused',
])('%s: softmax of the scores is the pattern, and masked scores are −∞', async (name) => {
  const taps = await tapAll(name);
  const scores = floats(taps.get('blocks.0.attn.hook_attn_scores'));
  const { data, dims } = taps.get('blocks.0.attn.hook_pattern')!;
  const pattern = data as Float32Array;
  const T = dims.at(-1)!;
  let masked = 0;
  for (let row = 0; row < pattern.length; row += T) {
    const logits = scores.subarray(row, row + T);
    const top = Math.max(...logits);
    const weights = Array.from(logits, (logit) => Math.exp(logit - top));
    const sum = weights.reduce((a, b) => a + b, 0);
    weights.forEach((weight, t) => {
      expect(Math.abs(weight / sum - pattern[row + t]!)).toBeLessThan(1e-5);
      if (pattern[row + t] !== 0) return;
      expect(logits[t]).toBe(Number.NEGATIVE_INFINITY);
      masked++;
    });
  }
  if (!name.startsWith('bert')) expect(masked).toBeGreaterThan(0);
});

test.each(['llama-eager', 'llama-gqa', 'llama-mha'])(
  '%s: results of all heads add up to attn_out',
  async (name) => {
    const taps = await tapAll(name);
    for (const layer of [0, 1]) {
      const result = taps.get(`blocks.${layer}.attn.hook_result`)!;
      const out = floats(taps.get(`blocks.${layer}.hook_attn_out`));
      const [B, S, H, M] = result.dims as [number, number, number, number];
      const heads = floats(result);
      for (let i = 0; i < B * S; i++) {
        for (let m = 0; m < M; m++) {
          let sum = 0;
          for (let h = 0; h < H; h++) sum += heads[(i * H + h) * M + m]!;
          expect(Math.abs(sum - out[i * M + m]!)).toBeLessThan(1e-4);
        }
      }
    }
  },
);
