/**
 * The exact paired test for clustered differences: under no effect, the difference of each cluster might as well have had the
 * other sign (Fisher's randomization test). Differences are whole numbers, so the distribution of their sum is computed, not
 * drawn. With one changed item in a cluster it is McNemar's exact test.
 */
import { mcnemarExact } from './mcnemar.ts';

/** Two-sided: P(|Σ ±d| ≥ |Σ d|), each sign with probability ½. @param differences one whole number for each cluster. */
export function signFlipTest(differences: readonly number[]): number {
  const sizes = differences.map(Math.abs).filter((size) => size > 0);
  if (sizes.every((size) => size === 1)) {
    const gained = differences.filter((d) => d > 0).length;
    return mcnemarExact({ gained, lost: sizes.length - gained });
  }
  const most = sizes.reduce((sum, size) => sum + size, 0);
  // P(sum = k − most), built up cluster by cluster.
  let chances = new Float64Array(2 * most + 1);
  chances[most] = 1;
  for (const size of sizes) {
    const next = new Float64Array(chances.length);
    chances.forEach((chance, k) => {
      if (chance === 0) return;
      next[k - size]! += chance / 2;
      next[k + size]! += chance / 2;
    });
    chances = next;
  }
  const seen = Math.abs(differences.reduce((sum, d) => sum + d, 0));
  const p = chances.reduce((sum, chance, k) => sum + (Math.abs(k - most) >= seen ? chance : 0), 0);
  return Math.min(1, p);
}
