import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { median, medianInterval } from './statistics.ts';

describe('median', () => {
  test.each([
    [[3], 3],
    [[4, 1], 2.5],
    [[9, 1, 5], 5],
    [[1, 100, 2, 3], 2.5],
  ])('of %j is %d', (values, expected) => {
    expect(median(values)).toBe(expected);
  });

  test('leaves its input alone', () => {
    const values = [3, 1, 2];
    median(values);
    expect(values).toEqual([3, 1, 2]);
  });
});

describe('medianInterval', () => {
  // Ranks from tables of the sign test at 95 %: both ends counted from 1.
  test.each([
    { n: 5, ranks: [1, 5] },
    { n: 6, ranks: [1, 6] },
    { n: 8, ranks: [1, 8] },
    { n: 9, ranks: [2, 8] },
    { n: 12, ranks: [3, 10] },
    { n: 20, ranks: [6, 15] },
    { n: 25, ranks: [8, 18] },
  ])('n = $n takes ranks $ranks', ({ n, ranks: [low, high] }) => {
    const values = Array.from({ length: n }, (_, i) => i + 1);
    expect(medianInterval(values)).toEqual({ low, high });
  });

  test('holds the median and lies within the values, in whatever order they come', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0, max: 1e6, noNaN: true }), { minLength: 1 }), (values) => {
        const { low, high } = medianInterval(values);
        expect(low).toBeLessThanOrEqual(median(values));
        expect(high).toBeGreaterThanOrEqual(median(values));
        expect(values).toContain(low);
        expect(values).toContain(high);
        expect(medianInterval([...values].reverse())).toEqual({ low, high });
      }),
    );
  });
});
