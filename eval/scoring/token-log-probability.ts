/** The log-probability of one token under a row of logits. */
import { logitSum } from './logit-sums.ts';

export interface TokenLogProbability {
  logProbability: number;
  /** Whether the token has the largest logit, the first of equal ones. */
  greedy: boolean;
}

/**
 * ln softmax(x)_token = x_token − max x − ln Σ exp(x − max x), with x = logits[offset .. offset + V].
 * @param logits float32, any number of rows of V.
 */
export async function tokenLogProbability(
  logits: Float32Array,
  offset: number,
  V: number,
  token: number,
): Promise<TokenLogProbability> {
  const { largest, sum } = await logitSum(logits, offset, V);
  const own = logits[offset + token]!;
  return {
    logProbability: own - largest - Math.log(sum),
    greedy: own === largest && logits.indexOf(largest, offset) === offset + token,
  };
}
