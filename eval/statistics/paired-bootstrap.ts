/**
 * Paired bootstrap of a difference: the same units are drawn for both runs, so what they share cancels.
 * The p-value is two-sided by inversion of the percentile interval: twice the smaller share of resampled differences on
 * either side of zero, the observed difference counted as one resample so that p is never 0 (Davison and Hinkley, 1997).
 */
import { type BootstrapOptions, columns, quantile, ratioOf, type Unit } from './bootstrap.ts';
import type { Interval } from './interval.ts';
import { uniformIntegers } from './random.ts';

/** @param before, after the same units in the same order. @returns after − before. */
export function pairedBootstrap(
  before: readonly Unit[],
  after: readonly Unit[],
  options: BootstrapOptions,
): Interval & { p: number } {
  const { seed, resamples = 10_000, level = 0.95, finish = (ratio) => ratio } = options;
  const draw = uniformIntegers(seed);
  const a = columns(after);
  const b = columns(before);
  const differences = new Float64Array(resamples);
  for (let r = 0; r < resamples; r++) {
    let an = 0;
    let ad = 0;
    let bn = 0;
    let bd = 0;
    for (let i = 0; i < before.length; i++) {
      const k = draw(before.length);
      an += a.numerators[k]!;
      ad += a.denominators[k]!;
      bn += b.numerators[k]!;
      bd += b.denominators[k]!;
    }
    differences[r] = finish(an / ad) - finish(bn / bd);
  }
  const low = differences.reduce((count, d) => count + (d <= 0 ? 1 : 0), 0);
  const high = differences.reduce((count, d) => count + (d >= 0 ? 1 : 0), 0);
  differences.sort();
  return {
    value: finish(ratioOf(after)) - finish(ratioOf(before)),
    low: quantile(differences, (1 - level) / 2),
    high: quantile(differences, (1 + level) / 2),
    p: Math.min(1, (2 * (Math.min(low, high) + 1)) / (resamples + 1)),
  };
}
