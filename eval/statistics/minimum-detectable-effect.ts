/** The smallest difference that a comparison of this size would find. */
import { normalQuantile } from './normal.ts';

/**
 * (z_{1−α/2} + z_{power}) · SE, the normal approximation of the two-sided test.
 * @param standardErrorOfDifference of the paired difference; see `standard-error`.
 */
export function minimumDetectableEffect(
  standardErrorOfDifference: number,
  { alpha = 0.05, power = 0.8 }: { alpha?: number; power?: number } = {},
): number {
  return (normalQuantile(1 - alpha / 2) + normalQuantile(power)) * standardErrorOfDifference;
}
