/** Against SciPy and statsmodels: fixtures/values.json, made by fixtures/make.py with the versions named in it. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bootstrapInterval, quantile, sumByCluster, type Unit } from './bootstrap.ts';
import { effectiveSize } from './design-effect.ts';
import values from './fixtures/values.json' with { type: 'json' };
import { holm } from './holm.ts';
import { discordance, mcnemarExact } from './mcnemar.ts';
import { minimumDetectableEffect } from './minimum-detectable-effect.ts';
import { normalQuantile } from './normal.ts';
import { pairedBootstrap } from './paired-bootstrap.ts';
import { uniformIntegers } from './random.ts';
import { signFlipTest } from './sign-flip.ts';
import { clusteredStandardError, standardError } from './standard-error.ts';
import { studentQuantile } from './student.ts';
import { tangoInterval } from './tango.ts';
import { wilsonInterval } from './wilson.ts';

const units = (pairs: number[][]): Unit[] => pairs.map(([n, d]) => [n!, d!]);
const ones = (xs: number[]): Unit[] => xs.map((x) => [x, 1]);

test.each(values.normalQuantile)('normalQuantile($p) = $z', ({ p, z }) => {
  expect(Math.abs(normalQuantile(p) - z)).toBeLessThanOrEqual(2e-15 * Math.max(1, Math.abs(z)));
});

test.each(values.wilson)('Wilson: $successes of $n at $level', ({ successes, n, level, low, high }) => {
  const interval = wilsonInterval(successes, n, level);
  expect(interval.low).toBeCloseTo(low, 13);
  expect(interval.high).toBeCloseTo(high, 13);
  expect(interval.value).toBe(successes / n);
});

test.each(values.mcnemar)('McNemar exact: $gained gained, $lost lost', ({ gained, lost, p }) => {
  // Relative: the sums run to 1,400 terms of 1e-16 each.
  expect(Math.abs(mcnemarExact({ gained, lost }) / p - 1)).toBeLessThan(1e-10);
});

test.each(values.tango)(
  'Tango: $gained gained, $lost lost of $n at $level',
  ({ gained, lost, n, level, low, high }) => {
    const interval = tangoInterval({ gained, lost }, n, level);
    // The fixture maximises the likelihood numerically, which is exact to about the root of 1e-13.
    expect(interval.low).toBeCloseTo(low, 5);
    expect(interval.high).toBeCloseTo(high, 5);
    expect(interval.value).toBe((gained - lost) / n);
  },
);

test('Tango: no change in n items is an interval of ± z² / (n + z²); a mirrored change a mirrored interval', () => {
  const z2 = normalQuantile(0.975) ** 2;
  expect(tangoInterval({ gained: 0, lost: 0 }, 40).high).toBeCloseTo(z2 / (40 + z2), 12);
  fc.assert(
    fc.property(fc.nat(30), fc.nat(30), fc.nat(60), (gained, lost, same) => {
      const n = gained + lost + same + 1;
      const there = tangoInterval({ gained, lost }, n);
      const back = tangoInterval({ gained: lost, lost: gained }, n);
      expect(there.low).toBeLessThanOrEqual(there.value);
      expect(there.high).toBeGreaterThanOrEqual(there.value);
      expect(back.low).toBeCloseTo(-there.high, 10);
    }),
  );
});

test('discordance counts the changes and only them', () => {
  const before = [true, true, false, false, false];
  const after = [true, false, true, true, false];
  expect(discordance(before, after)).toEqual({ gained: 2, lost: 1 });
});

test.each(values.holm)('Holm: $p', ({ p, holm: adjusted }) => {
  holm(p).forEach((value, i) => {
    expect(value).toBeCloseTo(adjusted[i]!, 15);
  });
});

test('standard errors: SciPy sem, statsmodels cluster-robust (CR0)', () => {
  const { values: x, clusters, standardError: sem, clusteredStandardError: robust } = values.errors;
  expect(standardError(x)).toBeCloseTo(sem, 14);
  expect(clusteredStandardError(x, clusters.map(String))).toBeCloseTo(robust, 14);
});

test.each(values.quantiles)('quantile $q of $sorted as NumPy has it', ({ sorted, q, value }) => {
  expect(quantile(Float64Array.from(sorted), q)).toBeCloseTo(value, 15);
});

test.each(values.power)('minimum detectable effect $effect', ({ effect, sd, alpha, power, n }) => {
  expect(minimumDetectableEffect(sd / Math.sqrt(n), { alpha, power })).toBeCloseTo(effect, 12);
});

describe('bootstrap', () => {
  const { units: before, after, low, high, expLow, expHigh, difference } = values.bootstrap;

  test('of five units tends to the quantiles of all 3125 resamples', () => {
    const options = { seed: 'a', resamples: 200_000 };
    const interval = bootstrapInterval(units(before), options);
    // The distribution is discrete: at this many resamples the 2.5 % point sits on the same atom or within its gap.
    expect(interval.low).toBeCloseTo(low, 2);
    expect(interval.high).toBeCloseTo(high, 2);
    const perplexity = bootstrapInterval(units(before), { ...options, finish: Math.exp });
    expect(perplexity.low).toBeCloseTo(expLow, 2);
    expect(Math.abs(perplexity.high / expHigh - 1)).toBeLessThan(0.02);
  });

  test('paired: interval and p of all 3125 resamples', () => {
    const result = pairedBootstrap(units(before), units(after), { seed: 'a', resamples: 200_000 });
    expect(result.low).toBeCloseTo(difference.low, 2);
    expect(result.high).toBeCloseTo(difference.high, 2);
    // p is twice a share of about 0.3: standard error 2 √(0.3 · 0.7 / 200,000) = 0.002
    expect(Math.abs(result.p - difference.p)).toBeLessThan(0.008);
  });

  test('of 200 samples agrees with SciPy within the Monte-Carlo error of both', () => {
    const { before: x, after: y, mean, difference: scipy } = values.sampled;
    const options = { seed: 'b', resamples: 20_000 };
    const one = bootstrapInterval(ones(x), options);
    // Error of a 2.5 % point: √(0.025 · 0.975 / 20,000) / φ(1.96) = 0.019 standard errors, here of 0.07; 4 σ, both sides.
    expect(Math.abs(one.low - mean[0]!)).toBeLessThan(0.0075);
    expect(Math.abs(one.high - mean[1]!)).toBeLessThan(0.0075);
    const two = pairedBootstrap(ones(x), ones(y), options);
    expect(Math.abs(two.low - scipy[0]!)).toBeLessThan(0.0038);
    expect(Math.abs(two.high - scipy[1]!)).toBeLessThan(0.0038);
  });

  test('a seed gives the same interval, another seed another', () => {
    const at = (seed: string) => bootstrapInterval(ones(values.sampled.before), { seed, resamples: 500 });
    expect(at('x')).toEqual(at('x'));
    expect([at('x').low, at('x').high]).not.toEqual([at('y').low, at('y').high]);
  });

  test('clusters are drawn whole: copies of items do not narrow the interval', () => {
    const items = ones([0, 1, 1, 0, 1, 0, 0, 1, 1, 1]);
    const copied = items.flatMap((item) => Array<Unit>(9).fill(item));
    const keys = copied.map((_, i) => `${Math.floor(i / 9)}`);
    const options = { seed: 'c' };
    expect(bootstrapInterval(sumByCluster(copied, keys), options)).toEqual(bootstrapInterval(items, options));
    expect(bootstrapInterval(copied, options).low).toBeGreaterThan(bootstrapInterval(items, options).low);
  });

  test('the same run twice differs by nothing, with p 1', () => {
    const result = pairedBootstrap(units(before), units(before), { seed: 'd' });
    expect(result).toEqual({ value: 0, low: 0, high: 0, p: 1 });
  });
});

test('uniformIntegers: every value of the range, equally often', () => {
  fc.assert(
    fc.property(fc.string(), fc.integer({ min: 1, max: 20 }), (seed, bound) => {
      const draw = uniformIntegers(seed);
      const counts = new Array<number>(bound).fill(0);
      for (let i = 0; i < 1000 * bound; i++) counts[draw(bound)]!++;
      // 1,000 ± 32 expected in each; 6 σ.
      expect(counts).toHaveLength(bound);
      for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(190);
    }),
    { numRuns: 50, seed: 1 },
  );
});

// Printed tables of t at 0.975 and 0.95.
test.each([
  [0.975, 1, 12.7062],
  [0.975, 2, 4.30265],
  [0.975, 3, 3.18245],
  [0.975, 5, 2.57058],
  [0.975, 9, 2.26216],
  [0.975, 49, 2.00958],
  [0.975, 1000, 1.96234],
  [0.95, 4, 2.13185],
  [0.95, 30, 1.69726],
])('Student: t(%f, %i) = %f', (p, df, t) => {
  expect(studentQuantile(p, df)).toBeCloseTo(t, 4);
});

describe('the sign-flip test', () => {
  test('is the share of sign patterns that go as far, by counting them all', () => {
    const whole = fc.array(fc.integer({ min: -4, max: 4 }), { minLength: 1, maxLength: 9 });
    fc.assert(
      fc.property(whole, (differences) => {
        const patterns = 2 ** differences.length;
        const sums = Array.from({ length: patterns }, (_, bits) =>
          differences.reduce((sum, d, k) => sum + (bits & (1 << k) ? d : -d), 0),
        );
        const seen = Math.abs(differences.reduce((sum, d) => sum + d, 0));
        const far = sums.filter((sum) => Math.abs(sum) >= seen).length;
        expect(signFlipTest(differences)).toBeCloseTo(far / patterns, 12);
      }),
    );
  });

  test('with one change in a cluster it is McNemar’s', () => {
    expect(signFlipTest([1, 1, 0, -1, 1, 1, 1])).toBe(mcnemarExact({ gained: 5, lost: 1 }));
    expect(signFlipTest([0, 0])).toBe(1);
  });
});

describe('effective size', () => {
  const keys = (n: number, C: number) => Array.from({ length: n }, (_, i) => `${Math.floor((i * C) / n)}`);

  test('clusters of one are the items; copies of an item are worth one', () => {
    const values = [0, 1, 1, 0, 1, 0, 0, 1];
    const p = 0.5;
    const of = (n: number) => ({ variance: (p * (1 - p)) / n, parts: 1, level: 0.95 });
    expect(effectiveSize(values, keys(8, 8), of(8))).toBeCloseTo(8, 12);
    const copies = values.flatMap((value) => [value, value, value]);
    const n = effectiveSize(copies, keys(24, 8), of(24));
    // t(23) and t(7) at 0.975; 24/8 copies, up to the divisor n − 1.
    expect(n).toBeCloseTo((8 * (2.06866 / 2.36462) ** 2 * (7 / 8)) / (23 / 24), 3);
  });

  test('without variance the design effect is 1', () => {
    expect(effectiveSize([0, 0, 0, 0], keys(4, 4), { variance: 0, parts: 1, level: 0.95 })).toBe(4);
    expect(effectiveSize([0.5, 0.5, 0.5], keys(3, 3), { variance: 1 / 12, parts: 2, level: 0.95 })).toBe(3);
  });
});
