/** What a candidate token is charged for the stripe it would make, and the scores that follow. */
import { logSumExp } from '../../hooks/model/decoding/index.ts';

export interface PenaltyRules {
  /** α */
  readonly alpha: number;
  /** What φ is multiplied by: 1 in the paper, 1e-7 in the released code. */
  readonly factor: number;
  /** Responses of at most so many tokens are rewarded for looking at the picture instead; 0: none (paper). */
  readonly shortResponse: number;
}

/** Charges beyond e^50 are one: such a token is not chosen. */
const LARGEST = 50;

/** @param length of the response with the candidate */
export function penaltyOf(
  { logPhi, picture, length }: { logPhi: number; picture: number; length: number },
  { factor, shortResponse }: PenaltyRules,
): number {
  return length <= shortResponse ? -picture : Math.exp(Math.min(logPhi + Math.log(factor), LARGEST));
}

/** ln p over the candidates alone, after the charge. */
export function chargedLogProbabilities(
  logits: readonly number[],
  penalties: readonly number[],
  { alpha }: Pick<PenaltyRules, 'alpha'>,
): number[] {
  const charged = logits.map((logit, i) => logit - alpha * penalties[i]!);
  const total = logSumExp(charged);
  return charged.map((logit) => logit - total);
}
