/** Standard error of a mean, for independent and for clustered samples. */

/** s / √n with the n − 1 variance. NaN for fewer than two samples. */
export function standardError(values: readonly number[]): number {
  const n = values.length;
  const mean = values.reduce((sum, x) => sum + x, 0) / n;
  return Math.sqrt(values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / (n - 1) / n);
}

/**
 * √(Σ_c (Σ_{i∈c} (x_i − x̄))²) / n: the cluster-robust (CR0) error, as Miller, "Adding Error Bars to Evals" (2024,
 * equation 4) recommends where questions share a passage.
 * @param clusters one key for each value.
 */
export function clusteredStandardError(values: readonly number[], clusters: readonly string[]): number {
  const n = values.length;
  const mean = values.reduce((sum, x) => sum + x, 0) / n;
  const sums = new Map<string, number>();
  values.forEach((x, i) => {
    const key = clusters[i] as string;
    sums.set(key, (sums.get(key) ?? 0) + x - mean);
  });
  return Math.sqrt([...sums.values()].reduce((sum, x) => sum + x ** 2, 0)) / n;
}
