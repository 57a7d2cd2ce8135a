/**
 * Attention sinks ("When Attention Sink Emerges", arXiv 2410.10781; "Active-Dormant Attention Heads", arXiv 2410.13835).
 *
 *   α_k = Σ_{t ≥ k} A[t, k] / (rows that see k)
 *
 * A is one head's map after softmax, causal, without padding. α depends on the length T, since late keys have few rows:
 * compare equal lengths only.
 */

/** The paper's ε: a key is a sink where α_k > ε. */
export const SINK_EPSILON = 0.3;

/**
 * @param map [T, T] row by row
 * @param window rows that see a key, its own included, in a layer with sliding attention
 * @returns α, [T]
 */
export function columnMeans(
  map: ArrayLike<number>,
  T: number,
  window = Number.POSITIVE_INFINITY,
): Float64Array {
  const alpha = new Float64Array(T);
  for (let t = 0; t < T; t++) {
    for (let k = 0; k <= t; k++) alpha[k]! += map[t * T + k]!;
  }
  return alpha.map((sum, k) => sum / Math.min(T - k, window));
}

/** Sink_k^ε: the share of maps in which key k is a sink, for every k. @param alphas one α for each sample, layer, head */
export function sinkShare(alphas: readonly ArrayLike<number>[], epsilon = SINK_EPSILON): number[] {
  const T = alphas[0]?.length ?? 0;
  return Array.from({ length: T }, (_, k) => {
    return alphas.filter((alpha) => alpha[k]! > epsilon).length / alphas.length;
  });
}

/** Heads whose mean α₀ over samples is above the threshold: parked on the first token, without effect. */
export function dormantHeads(
  meanAlpha0: readonly (readonly number[])[],
  threshold = SINK_EPSILON,
): [number, number][] {
  return meanAlpha0.flatMap((row, layer) =>
    row.flatMap((alpha, head): [number, number][] => (alpha > threshold ? [[layer, head]] : [])),
  );
}

/** Heads dormant in some of the domains and active in others. @param dormant one list for each domain */
export function switchingHeads(
  dormant: readonly (readonly (readonly [number, number])[])[],
): [number, number][] {
  const count = new Map<string, { head: readonly [number, number]; domains: number }>();
  for (const heads of dormant) {
    for (const head of heads) {
      const known = count.get(head.join()) ?? { head, domains: 0 };
      count.set(head.join(), { head, domains: known.domains + 1 });
    }
  }
  return [...count.values()]
    .filter(({ domains }) => domains < dormant.length)
    .map(({ head: [layer, head] }): [number, number] => [layer, head])
    .sort(([a, b], [c, d]) => a - c || b - d);
}
