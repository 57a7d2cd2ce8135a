/** Statistics of timings: no distribution is assumed, and one interrupted run does not move them. */

/** @param values at least one */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  return Number.isInteger(middle) ? (sorted[middle - 1]! + sorted[middle]!) / 2 : sorted[Math.floor(middle)]!;
}

export interface Interval {
  readonly low: number;
  readonly high: number;
}

/**
 * Interval that holds the median of the distribution with at least 95 % confidence, from the sign test: values[k]
 * and values[n-1-k] for the largest k with 2·P(Binomial(n, ½) ≤ k) ≤ 0.05. The whole range below n = 6, where no
 * pair of order statistics is that sure.
 */
export function medianInterval(values: readonly number[]): Interval {
  const sorted = [...values].sort((a, b) => a - b);
  const n = sorted.length;
  let outside = 0;
  let chance = 0.5 ** n; // P(Binomial = k)
  let cut = 0;
  for (let k = 0; k < n / 2; k++) {
    outside += chance;
    if (2 * outside > 0.05) break;
    cut = k + 1;
    chance *= (n - k) / (k + 1);
  }
  const k = Math.max(0, cut - 1);
  return { low: sorted[k]!, high: sorted[n - 1 - k]! };
}
