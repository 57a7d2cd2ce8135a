/**
 * Wilson's score interval for a proportion (Wilson, 1927, without continuity correction). Keeps its coverage for small n
 * and proportions near 0 or 1, where ± 1.96 standard errors does not.
 */
import type { Interval } from './interval.ts';
import { normalQuantile } from './normal.ts';

/** @param level confidence, default 0.95. */
export function wilsonInterval(successes: number, n: number, level = 0.95): Interval {
  const z = normalQuantile((1 + level) / 2);
  const p = successes / n;
  const centre = (p + z ** 2 / (2 * n)) / (1 + z ** 2 / n);
  const half = (z / (1 + z ** 2 / n)) * Math.sqrt((p * (1 - p)) / n + z ** 2 / (4 * n ** 2));
  return { value: p, low: successes === 0 ? 0 : centre - half, high: successes === n ? 1 : centre + half };
}
