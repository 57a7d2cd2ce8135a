/**
 * Next-token scores from two streams: what the second says anyhow is taken off.
 *
 *   out = (1 + α) l − α l',   out = −∞ where l < max l + ln β
 *
 * l, l' are logits, or log-probabilities where scores shall be comparable over positions; the distribution is the same.
 */

export interface Combination {
  /** α, or the entropy of the first stream's distribution in nats (Gema et al., arXiv 2410.18860). */
  readonly alpha: number | 'entropy';
  /** Where α is the entropy, α at most. */
  readonly most?: number | undefined;
  /** β: tokens less likely than this share of the likeliest are cut off; 0 cuts none. */
  readonly beta: number;
  /** Take log-probabilities for logits. */
  readonly normalised?: boolean;
}

/** In place in `first`, [V]. The largest logit always stays. */
export function combine(
  first: Float32Array,
  second: Float32Array,
  { alpha: given, most = Number.POSITIVE_INFINITY, beta, normalised = false }: Combination,
): void {
  const alpha = given === 'entropy' ? Math.min(entropyOf(first), most) : given;
  const [z, z2] = normalised ? [logSum(first), logSum(second)] : [0, 0];
  const floor = largest(first) + Math.log(beta);
  for (let v = 0; v < first.length; v++) {
    const logit = first[v]!;
    first[v] =
      logit < floor ? Number.NEGATIVE_INFINITY : (1 + alpha) * (logit - z) - alpha * (second[v]! - z2);
  }
}

function largest(logits: Float32Array): number {
  let most = Number.NEGATIVE_INFINITY;
  for (const logit of logits) if (logit > most) most = logit;
  return most;
}

function logSum(logits: Float32Array): number {
  const most = largest(logits);
  return most + Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - most), 0));
}

/** −Σ p ln p of softmax(logits), in nats. */
export function entropyOf(logits: Float32Array): number {
  const most = largest(logits);
  let [sum, weighted] = [0, 0];
  for (const logit of logits) {
    const e = Math.exp(logit - most);
    sum += e;
    if (e > 0) weighted += e * (logit - most);
  }
  return Math.log(sum) - weighted / sum;
}
