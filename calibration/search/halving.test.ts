/** Rounds by hand, and races on margins that are known. */
import { expect, test } from 'vitest';
import { measurementsOf, race, roundsOf } from './halving.ts';

test('rounds halve the settings and double the items; all of it is a third', () => {
  const rounds = roundsOf(252, 100, 3);
  expect(rounds).toEqual([
    { settings: 252, items: 13 },
    { settings: 126, items: 25 },
    { settings: 63, items: 50 },
    { settings: 32, items: 100 },
  ]);
  expect(measurementsOf(rounds)).toBe(252 * 13 + 126 * 12 + 63 * 25 + 32 * 50);
  expect(measurementsOf(rounds)).toBeLessThan((252 * 100) / 3);
});

test('without halvings, and with too few items for any, every setting sees every item', () => {
  expect(roundsOf(5, 100, 0)).toEqual([{ settings: 5, items: 100 }]);
  expect(roundsOf(5, 15, 3)).toEqual([{ settings: 5, items: 15 }]);
});

test('the best go on, and each gain has the error of its paired differences', async () => {
  const effects = [0, 3, -1, 1];
  const asked: [number[], number][] = [];
  const raced = await race(roundsOf(4, 32, 2), async (settings, items) => {
    asked.push([[...settings], items]);
    const baseline = Array.from({ length: items }, (_, i) => i % 7);
    // ± 1 about the effect: what the items share cancels.
    const own = settings.map((s) => baseline.map((margin, i) => margin + effects[s]! + (i % 2 ? 1 : -1)));
    return { baseline, settings: own };
  });
  expect(asked).toEqual([
    [[0, 1, 2, 3], 8],
    [[1, 3], 16],
    [[1], 32],
  ]);
  expect(raced.map(({ items }) => items)).toEqual([8, 32, 8, 16]);
  expect(raced[1]!.gain).toBeCloseTo(3, 12);
  // Variance of ± 1 with the divisor n − 1.
  expect(raced[1]!.error).toBeCloseTo(Math.sqrt(32 / 31 / 32), 12);
});
