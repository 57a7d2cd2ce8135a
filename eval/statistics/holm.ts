/** Holm's step-down correction (Holm, 1979): controls the chance of any false positive among several tests. */

/** Adjusted p-values in the order given: running maximum of (m − rank) p over ascending p, at most 1. */
export function holm(pValues: readonly number[]): number[] {
  const m = pValues.length;
  const ascending = pValues.map((_, i) => i).sort((a, b) => pValues[a]! - pValues[b]!);
  const adjusted = new Array<number>(m);
  let largest = 0;
  ascending.forEach((index, rank) => {
    largest = Math.max(largest, (m - rank) * pValues[index]!);
    adjusted[index] = Math.min(1, largest);
  });
  return adjusted;
}
