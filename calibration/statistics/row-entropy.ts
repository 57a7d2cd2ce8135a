/** How widely a head looks: the entropy of its rows. */

/**
 * Mean over rows of −Σ p ln p, in nats; row 0, which sees one key only, left out.
 * @param map [T, T] row by row, causal
 */
export function meanRowEntropy(map: ArrayLike<number>, T: number): number {
  let sum = 0;
  for (let t = 1; t < T; t++) {
    for (let k = 0; k <= t; k++) {
      const p = map[t * T + k]!;
      if (p > 0) sum -= p * Math.log(p);
    }
  }
  return T > 1 ? sum / (T - 1) : 0;
}
