import { expect, test } from 'vitest';
import { halfToNumber, numberToHalf } from './half.ts';

test('every number a half can be comes back as the bits it was', () => {
  const all = Array.from({ length: 2 ** 16 }, (_, bits) => bits);
  const numbers = all.filter((bits) => !Number.isNaN(halfToNumber(bits)));
  expect(numbers.length).toBe(2 ** 16 - 2 * 1023);
  expect(numbers.filter((bits) => numberToHalf(halfToNumber(bits)) !== bits)).toEqual([]);
});

test.each([
  [2049, 2048],
  [2051, 2052],
  [65519, 65504],
  [65520, Number.POSITIVE_INFINITY],
  [-1e9, Number.NEGATIVE_INFINITY],
  [3 * 2 ** -26, 2 ** -24],
  [2 ** -25, 0],
  [2 ** -14 - 2 ** -26, 2 ** -14],
  [Number.NaN, Number.NaN],
])('%f becomes %f', (value, nearest) => {
  expect(halfToNumber(numberToHalf(value))).toBe(nearest);
});
