/** What is read off a row of logits, in float64: log-probabilities of tokens, and the entropy of the next token. */

/** ln Σ exp(z) over logits[offset .. offset + V]. */
export function logSumExp(logits: Float32Array, offset: number, V: number): number {
  let largest = Number.NEGATIVE_INFINITY;
  for (let i = offset; i < offset + V; i++) if (!(logits[i]! <= largest)) largest = logits[i]!;
  let sum = 0;
  for (let i = offset; i < offset + V; i++) sum += Math.exp(logits[i]! - largest);
  return largest + Math.log(sum);
}

/**
 * Shannon entropy in nats over the whole vocabulary, H = LSE(z) − Σ softmax(z) z (ZeroTuning's unsupervised objective,
 * arXiv 2505.11739). NaN where the logits are not finite.
 */
export function entropy(logits: Float32Array, offset: number, V: number): number {
  const normaliser = logSumExp(logits, offset, V);
  let mean = 0;
  for (let i = offset; i < offset + V; i++) {
    const p = Math.exp(logits[i]! - normaliser);
    if (p > 0) mean += p * logits[i]!;
  }
  return normaliser - mean;
}
