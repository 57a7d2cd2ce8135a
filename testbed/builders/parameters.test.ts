import { expect, test } from 'vitest';
import { givenParameters, randomParameters } from './parameters.ts';

test('random parameters are a pure function of seed and name', () => {
  const dims = [16, 16];
  const weights = randomParameters('a').float('layer.weight', dims);
  expect(randomParameters('a').float('layer.weight', dims)).toEqual(weights);
  expect(randomParameters('b').float('layer.weight', dims)).not.toEqual(weights);
  expect(randomParameters('a').float('other.weight', dims)).not.toEqual(weights);
});

test('a random layer keeps the variance of its input, in float32 and in 4 bits', () => {
  const [rows, columns] = [64, 512];
  const random = randomParameters('variance');
  const variance = (values: Float32Array) => values.reduce((sum, x) => sum + x * x, 0) / values.length;
  // 32,768 draws: the standard error of the mean square is below 1 %.
  expect(variance(random.float('layer.weight', [rows, columns])) * columns).toBeCloseTo(1, 1);
  const { quants, scales } = random.int4('layer.weight', rows, columns, 32);
  const squares = [...quants].map((byte) => ((byte & 15) - 8) ** 2 + ((byte >> 4) - 8) ** 2);
  const mean = squares.reduce((sum, x) => sum + x, 0) / (2 * quants.length);
  expect(mean * scales[0]! ** 2 * columns).toBeCloseTo(1, 1);
});

test.each([
  { name: 'model.norm.weight', dims: [3], found: '2 elements' },
  { name: 'lm_head.weight', dims: [2, 1], found: 'no such parameter' },
])('given parameters: $found', ({ name, dims, found }) => {
  const given = givenParameters(new Map([['model.norm.weight', Float32Array.of(1, 2)]]));
  expect([...given.float('model.norm.weight', [2])]).toEqual([1, 2]);
  const attempt = () => given.float(name, dims);
  expect(attempt).toThrow(found);
  expect(attempt).toThrow('PARAMETER_MISMATCH');
});
