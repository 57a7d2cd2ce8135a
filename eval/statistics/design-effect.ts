/**
 * How many independent items clustered ones are worth, for intervals of proportions that are made for independent items (Korn and
 * Graubard, Survey Methodology 24, 1998): n over the design effect, which is the variance with the clusters over that without,
 * and times a factor for the few clusters that the variance is estimated from.
 *
 *   n* = n / deff · (t(n − 1) / t(C − 1))²
 *
 * Items that are alike in all clusters have no variance to compare; their design effect is 1, by the same authors. So the interval moves
 * with the number of items that differ and does not jump when there are none; with as many clusters as items it is the
 * independent one.
 */
import { clusteredStandardError } from './standard-error.ts';
import { studentQuantile } from './student.ts';

export interface Independent {
  /** Of the mean, as the interval takes it to be for independent items. */
  variance: number;
  /** Judgements that an item's value is the mean of: it is worth no more than so many items. */
  parts: number;
  /** Of confidence. */
  level: number;
}

/**
 * @param values one for each item
 * @param clusters one key for each, at least two different ones
 * @returns n*
 */
export function effectiveSize(
  values: readonly number[],
  clusters: readonly string[],
  { variance, parts, level }: Independent,
): number {
  const n = values.length;
  const C = new Set(clusters).size;
  if (C === n && parts === 1) return n;
  const t = (df: number) => studentQuantile((1 + level) / 2, df);
  const few = C === n ? 1 : (t(n - 1) / t(C - 1)) ** 2;
  const items = values.map((_, i) => `${i}`);
  const alone = clusteredStandardError(values, items) ** 2;
  // Both with the divisor that makes clusters of one item the items themselves.
  const together = clusteredStandardError(values, clusters) ** 2 * (C / (C - 1)) * ((n - 1) / n);
  const found = Math.max(alone, together);
  const effect = variance > 0 && found > 0 ? Math.max(found / variance, 1 / parts) : 1;
  return (n / effect) * few;
}
