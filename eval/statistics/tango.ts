/**
 * Tango's score interval for the difference of two proportions on the same items (Tango, Statistics in Medicine 17, 1998):
 * all differences that the score test with the constrained maximum-likelihood estimate does not reject. Unlike a
 * bootstrap it has a width when nothing changed: no change seen in n items is not no effect.
 */
import type { Interval } from './interval.ts';
import type { Discordance } from './mcnemar.ts';
import { normalQuantile } from './normal.ts';

/** @param n items, those that did not change included. @param level confidence, default 0.95. */
export function tangoInterval({ gained, lost }: Discordance, n: number, level = 0.95): Interval {
  const z = normalQuantile((1 + level) / 2);
  const value = (gained - lost) / n;
  const score = (delta: number) => tangoScore({ gained, lost }, n, delta);
  return {
    value,
    low: crossing((delta) => score(delta) - z, -1, value),
    high: crossing((delta) => score(delta) + z, value, 1),
  };
}

/** The score statistic of "the difference is delta"; falls from +∞ to −∞ as delta goes from −1 to 1. */
function tangoScore({ gained, lost }: Discordance, n: number, delta: number): number {
  const distance = gained - lost - n * delta;
  if (distance === 0) return 0;
  // q: the estimate of P(lost) under the constraint, the larger root of 2n q² + b q + c = 0.
  const b = -gained - lost + (2 * n - gained + lost) * delta;
  const c = -lost * delta * (1 - delta);
  const q = (Math.sqrt(Math.max(0, b ** 2 - 8 * n * c)) - b) / (4 * n);
  return distance / Math.sqrt(Math.max(0, n * (2 * q + delta * (1 - delta))));
}

/** Where a falling function is zero between two ends, by halving; the end itself where it does not get there. */
function crossing(f: (x: number) => number, from: number, to: number): number {
  let [above, below] = [from, to];
  if (f(above) <= 0) return above;
  if (f(below) >= 0) return below;
  for (let i = 0; i < 60; i++) {
    const middle = (above + below) / 2;
    if (f(middle) > 0) above = middle;
    else below = middle;
  }
  return (above + below) / 2;
}
