/** The log-probabilities of tokens, each under a row of logits of its own. */
import { logSumExps } from './log-sum-exp.ts';

export interface TokenLogProbability {
  logProbability: number;
  /** Whether the token has the largest logit, the first of equal ones. */
  greedy: boolean;
}

/**
 * ln softmax(x)_token = x_token − ln Σ exp(x), for each row x.
 * @param logits float32 [n, V].
 * @param tokens [n]
 */
export async function tokenLogProbabilities(
  logits: Float32Array,
  V: number,
  tokens: readonly number[],
): Promise<TokenLogProbability[]> {
  const sums = await logSumExps(logits, V);
  return tokens.map((token, i) => {
    const row = logits.subarray(i * V, (i + 1) * V);
    // Rounding may put a sum of hardly more than one term below that term.
    const logProbability = Math.min(0, row[token]! - sums[i]!);
    // What has more than half of the probability has no rival; looking for one takes as long as the sum.
    return { logProbability, greedy: logProbability > -0.69 || isFirstLargest(row, token) };
  });
}

function isFirstLargest(row: Float32Array, token: number): boolean {
  const own = row[token]!;
  for (let i = 0; i < row.length; i++) if (row[i]! > own || (i < token && row[i] === own)) return false;
  return true;
}
