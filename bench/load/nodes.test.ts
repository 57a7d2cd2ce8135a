/** Counting what a method adds to a layer, on a shape a test can afford. */
import { expect, test } from 'vitest';
import { SMOLLM2_135M } from '../models/smollm2-int4.ts';
import { METHODS } from './methods.ts';
import { nodesPerLayer } from './nodes.ts';

const shape = { ...SMOLLM2_135M, hiddenSize: 64, numHeads: 2, numKeyValueHeads: 1, headDim: 32 };
const named = (wanted: string) => METHODS.find(({ name }) => name === wanted)!;

test('a factor per head adds few nodes to a layer, whatever its graph does once', async () => {
  const scale = await nodesPerLayer(shape, named('head scale'));
  expect(scale.optimised).toBeGreaterThan(0);
  expect(scale.optimised).toBeLessThanOrEqual(8);
  expect(scale.written).toBeGreaterThan(0);
  expect(scale.written).toBeLessThanOrEqual(8);
});
