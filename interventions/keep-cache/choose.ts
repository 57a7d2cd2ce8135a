/** Which keys stay: padding goes first, sinks and the newest never, the others by their score. */

export interface Bounds {
  /** Keys that stay. */
  readonly budget: number;
  readonly sinks: number;
  readonly recent: number;
}

/**
 * @param columns [N] of the keys @param real of the row, by column @param scores [N], larger stays
 * @returns slots that stay, padding before the others, each in the order of their tokens
 */
export function chosenSlots(
  columns: Int32Array,
  real: Uint8Array,
  scores: Float32Array,
  { budget, sinks, recent }: Bounds,
): Int32Array {
  const N = columns.length;
  const sinkEnd = endOf(real, sinks);
  /** 0 padding, 1 by score, 2 always. */
  const rank = new Uint8Array(N);
  for (let n = 0; n < N; n++) {
    const column = columns[n]!;
    const always = column < sinkEnd || column >= real.length - recent;
    rank[n] = real[column] === 0 ? 0 : always ? 2 : 1;
  }
  const order = Int32Array.from({ length: N }, (_, n) => n);
  // Of equal scores the newer key stays.
  order.sort((a, b) => rank[b]! - rank[a]! || scores[b]! - scores[a]! || columns[b]! - columns[a]!);
  const stay = order.subarray(0, Math.min(budget, N));
  const isReal = (slot: number) => (rank[slot] === 0 ? 0 : 1);
  return Int32Array.from(stay).sort((a, b) => isReal(a) - isReal(b) || columns[a]! - columns[b]!);
}

/** One past the column of the n-th real token. */
function endOf(real: Uint8Array, n: number): number {
  let [column, seen] = [0, 0];
  while (column < real.length && seen < n) seen += real[column++]!;
  return n === 0 ? 0 : column;
}
