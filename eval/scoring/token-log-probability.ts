/** The log-probability of one token under a row of logits. */
import { logSumExp } from './log-sum-exp.ts';

export interface TokenLogProbability {
  logProbability: number;
  /** Whether the token has the largest logit, the first of equal ones. */
  greedy: boolean;
}

/**
 * ln softmax(x)_token = x_token − ln Σ exp(x), with x = logits[offset .. offset + V].
 * @param logits float32, any number of rows of V.
 */
export async function tokenLogProbability(
  logits: Float32Array,
  offset: number,
  V: number,
  token: number,
): Promise<TokenLogProbability> {
  const own = logits[offset + token]!;
  // Rounding may put a sum of hardly more than one term below that term.
  const logProbability = Math.min(0, own - (await logSumExp(logits, offset, V)));
  return {
    logProbability,
    // What has more than half of the probability has no rival; looking for one takes as long as the sum.
    greedy: logProbability > -0.69 || isFirstLargest(logits.subarray(offset, offset + V), token),
  };
}

function isFirstLargest(row: Float32Array, token: number): boolean {
  const own = row[token]!;
  for (let i = 0; i < row.length; i++) if (row[i]! > own || (i < token && row[i] === own)) return false;
  return true;
}
