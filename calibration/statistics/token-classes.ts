/**
 * Where a head's attention goes, by the kind of key: the first token, sinks behind it, punctuation, the row's own token,
 * the rest. A key belongs to the first of these that it is, so that the shares of a row are one together.
 */
import { columnMeans, SINK_EPSILON } from './sinks.ts';

export const TOKEN_CLASSES = ['first', 'sinks', 'punctuation', 'self', 'rest'] as const;
export type TokenClass = (typeof TOKEN_CLASSES)[number];

/** Keys that fewer rows see are no sinks, however much those rows look at them (the last row looks at itself). */
const FEWEST_ROWS = 8;

/** Marks, symbols and line ends, with whatever space is around them. */
export const isPunctuation = (text: string): boolean => /^\s*[\p{P}\p{S}\n]+\s*$/u.test(text);

/**
 * Shares of each class, means over rows from row 1 on; they add up to 1.
 * @param map [T, T] row by row, causal
 * @param punctuation [T], for each key
 */
export function classShares(
  map: ArrayLike<number>,
  T: number,
  punctuation: readonly boolean[],
): Record<TokenClass, number> {
  const alpha = columnMeans(map, T);
  const kind = Array.from({ length: T }, (_, k): TokenClass => {
    if (k === 0) return 'first';
    if (alpha[k]! > SINK_EPSILON && T - k >= FEWEST_ROWS) return 'sinks';
    return punctuation[k] ? 'punctuation' : 'rest';
  });
  const shares: Record<TokenClass, number> = { first: 0, sinks: 0, punctuation: 0, self: 0, rest: 0 };
  for (let t = 1; t < T; t++) {
    for (let k = 0; k <= t; k++) {
      const own = k === t && kind[k] === 'rest' ? 'self' : kind[k]!;
      shares[own] += map[t * T + k]! / (T - 1);
    }
  }
  return shares;
}

/** Sinks behind the first token. */
export function internalSinks(alpha: ArrayLike<number>, epsilon = SINK_EPSILON): number {
  let count = 0;
  for (let k = 1; k <= alpha.length - FEWEST_ROWS; k++) if (alpha[k]! > epsilon) count += 1;
  return count;
}
