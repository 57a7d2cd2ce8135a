/** Activations of all layers as one. */
import { expect, test } from 'vitest';
import { ActivationCache } from './activation.ts';

const made = (name: string, dims: number[], from: number) => ({
  name,
  axes: 'BSM',
  dims,
  data: Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => from + i),
});
const cache = new ActivationCache(
  [
    made('blocks.0.hook_resid_pre', [1, 2, 2], 0),
    made('blocks.1.hook_resid_pre', [1, 2, 2], 10),
    made('blocks.1.hook_q', [1, 2, 3], 0),
  ].map((one) => [one.name, one]),
);

test('stacks layers first', () => {
  expect(cache.stack('blocks.*.hook_resid_pre')).toEqual({
    name: 'blocks.*.hook_resid_pre',
    axes: 'LBSM',
    dims: [2, 1, 2, 2],
    data: Float32Array.of(0, 1, 2, 3, 10, 11, 12, 13),
  });
});

test('only what has one shape, and only what is there', () => {
  expect(() => cache.stack('**')).toThrow(/CACHE_STACK: at blocks\.1\.hook_q: found BSM \[1, 2, 3\]/);
  expect(() => cache.stack('blocks.*.hook_resid_pr')).toThrow('HOOK_UNKNOWN');
});
