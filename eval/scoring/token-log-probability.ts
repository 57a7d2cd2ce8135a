/** The log-probability of one token under a row of logits, in float64. */

export interface TokenLogProbability {
  logProbability: number;
  /** Whether the token has the largest logit, the first of equal ones. */
  greedy: boolean;
}

/**
 * ln softmax(x)_token with x = logits[offset .. offset + V].
 * @param logits float32, any number of rows of V.
 */
export function tokenLogProbability(
  logits: Float32Array,
  offset: number,
  V: number,
  token: number,
): TokenLogProbability {
  let best = offset;
  for (let i = offset + 1; i < offset + V; i++) if (logits[i]! > logits[best]!) best = i;
  const largest = logits[best]!;
  let sum = 0;
  for (let i = offset; i < offset + V; i++) sum += Math.exp(logits[i]! - largest);
  return {
    logProbability: logits[offset + token]! - largest - Math.log(sum),
    greedy: best === offset + token,
  };
}
