/** Golden bounded caches through the product; a wrong figure is seen. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { readGolden } from '../../kernels/golden/index.ts';
import { checkBoundedCache } from './bounded-cache.ts';

const text = readFileSync(new URL('../../testbed/golden/streamingllm.json', import.meta.url), 'utf8');

async function worst(json: string, id: string): Promise<number> {
  const golden = readGolden(json, 'streamingllm.json').find((one) => one.id === id)!;
  const comparisons = await checkBoundedCache(golden)!;
  expect(comparisons.length).toBeGreaterThan(3);
  const errors = comparisons.flatMap(({ actual, expected }) => {
    expect(actual!.data.length).toBe(expected.data.length);
    return Array.from(expected.data, (value, i) => Math.abs(actual!.data[i]! - value));
  });
  return Math.max(...errors);
}

test.each(['evict_after', 'evict_before', 'evict_before_chunk', 'absolute_positions', 'delta_rotation'])(
  '%s',
  async (id) => {
    expect(await worst(text, id)).toBeLessThan(1e-5);
  },
);

test('another scale is off', async () => {
  expect(await worst(text.replace('"scale":0.353553391', '"scale":0.36'), 'evict_after')).toBeGreaterThan(
    1e-4,
  );
});
