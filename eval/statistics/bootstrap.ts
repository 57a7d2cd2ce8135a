/**
 * Percentile bootstrap of a ratio of sums (Efron, 1979), by items or by clusters (each drawn whole).
 * Quantiles interpolate linearly (type 7 of Hyndman and Fan), as NumPy's do.
 */
import type { Interval } from './interval.ts';
import { uniformIntegers } from './random.ts';

/** Contribution of a unit of resampling to numerator and denominator. */
export type Unit = readonly [numerator: number, denominator: number];

export interface BootstrapOptions {
  seed: string;
  /** Default 10,000. */
  resamples?: number;
  /** Confidence, default 0.95. */
  level?: number;
  /** From Σ numerator / Σ denominator to the statistic; default the ratio itself. */
  finish?: (ratio: number) => number;
}

/** @param units one for each independent unit; see `sumByCluster`. */
export function bootstrapInterval(units: readonly Unit[], options: BootstrapOptions): Interval {
  const { seed, resamples = 10_000, level = 0.95, finish = (ratio) => ratio } = options;
  const draw = uniformIntegers(seed);
  const { numerators, denominators } = columns(units);
  const statistics = new Float64Array(resamples);
  for (let r = 0; r < resamples; r++) {
    let numerator = 0;
    let denominator = 0;
    for (let i = 0; i < units.length; i++) {
      const k = draw(units.length);
      numerator += numerators[k]!;
      denominator += denominators[k]!;
    }
    statistics[r] = finish(numerator / denominator);
  }
  statistics.sort();
  return {
    value: finish(ratioOf(units)),
    low: quantile(statistics, (1 - level) / 2),
    high: quantile(statistics, (1 + level) / 2),
  };
}

export function ratioOf(units: readonly Unit[]): number {
  let numerator = 0;
  let denominator = 0;
  for (const [n, d] of units) {
    numerator += n;
    denominator += d;
  }
  return numerator / denominator;
}

/** Items of one cluster added up, in the order of first appearance; without a key an item is its own cluster. */
export function sumByCluster(units: readonly Unit[], clusters: readonly (string | undefined)[]): Unit[] {
  const sums = new Map<string | number, [number, number]>();
  units.forEach(([n, d], i) => {
    const sum = sums.get(clusters[i] ?? i);
    if (sum) {
      sum[0] += n;
      sum[1] += d;
    } else {
      sums.set(clusters[i] ?? i, [n, d]);
    }
  });
  return [...sums.values()];
}

/** @param sorted ascending. */
export function quantile(sorted: Float64Array, q: number): number {
  const at = (sorted.length - 1) * q;
  const below = Math.floor(at);
  const lower = sorted[below]!;
  return lower + (at - below) * ((sorted[below + 1] ?? lower) - lower);
}

/** Numerators and denominators apart, for the inner loop. */
export const columns = (units: readonly Unit[]) => ({
  numerators: Float64Array.from(units, ([n]) => n),
  denominators: Float64Array.from(units, ([, d]) => d),
});
