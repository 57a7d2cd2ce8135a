/**
 * Partitioned attention: for each query row the keys fall into G groups, and each group keeps, in one pass over the
 * keys,
 *
 *   m_g = max s_t        l_g = Σ e^{s_t - m_g}        O_g = Σ e^{s_t - m_g} v_t        (t in g)
 *
 * exactly what streaming attention keeps for all keys together. No S×T matrix is formed, and whatever a method does
 * to whole groups is a combination of these numbers:
 *
 *   Z = Σ_g e^{m_g} l_g        P_g = e^{m_g} l_g / Z        O' = Σ_g w_g e^{m_g} O_g / Z
 */
import type { AttentionOptions } from './attention.ts';
import { biased, scoresOf } from './attention.ts';
import { at, block, build, indices, type Tensor, zeros } from './tensor.ts';
import { visibility } from './visibility.ts';

export interface Partition {
  /** (B, H, S, G) running maxima; -inf for a group without visible keys. */
  readonly max: Tensor;
  /** (B, H, S, G) Σ e^{s - max}. */
  readonly sum: Tensor;
  /** (B, H, S, G, E) Σ e^{s - max} v. */
  readonly partial: Tensor;
  /** (H) learned sink logits, part of Z. */
  readonly headSink?: Tensor | undefined;
}

/**
 * @param groups ids 0..G-1, broadcastable to (B, H, S, T): per key, and where a method wants it per head or row
 */
export function partitionedAttention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  groups: Tensor,
  G: number,
  options: AttentionOptions = {},
): Partition {
  const [B, H, S] = q.shape as [number, number, number];
  const [, K, T, E] = v.shape as [number, number, number, number];
  const visible = visibility([B, S, T], options.mask);
  const scores = biased(scoresOf(q, k, options), options.bias);

  const max = build([B, H, S, G], () => Number.NEGATIVE_INFINITY);
  const sum = zeros(B, H, S, G);
  const partial = zeros(B, H, S, G, E);
  for (const [b, h, s] of indices(B, H, S) as Iterable<[number, number, number]>) {
    const m = block(max, b, h, s);
    const l = block(sum, b, h, s);
    const score = block(scores, b, h, s);
    for (let t = 0; t < T; t++) {
      if (!at(visible, b, s, t)) continue;
      const g = at(groups, b, h, s, t);
      const o = block(partial, b, h, s, g);
      const value = block(v, b, Math.floor(h / (H / K)), t);
      const top = Math.max(m[g]!, score[t]!);
      const shrink = Math.exp(m[g]! - top);
      const weight = Math.exp(score[t]! - top);
      l[g] = l[g]! * shrink + weight;
      for (let e = 0; e < E; e++) o[e] = o[e]! * shrink + weight * value[e]!;
      m[g] = top;
    }
  }
  return { max, sum, partial, headSink: options.headSink };
}

/** ln Z of each row, the head's sink included: (B, H, S). */
export function logSumExp({ max, sum, headSink }: Partition): Tensor {
  return build(max.shape.slice(0, 3), (b, h, s) => {
    const m = block(max, b!, h!, s!);
    const sink = headSink ? at(headSink, h!) : Number.NEGATIVE_INFINITY;
    const top = Math.max(sink, ...m);
    if (top === Number.NEGATIVE_INFINITY) return top;
    const z = block(sum, b!, h!, s!).reduce(
      (total, l, g) => total + l * Math.exp(m[g]! - top),
      Math.exp(sink - top),
    );
    return top + Math.log(z);
  });
}

/** P_g, the probability each group holds: (B, H, S, G). */
export function groupMasses(partition: Partition): Tensor {
  const lse = logSumExp(partition);
  return build(partition.sum.shape, (b, h, s, g) => {
    const l = at(partition.sum, b!, h!, s!, g!);
    return l === 0 ? 0 : l * Math.exp(at(partition.max, b!, h!, s!, g!) - at(lse, b!, h!, s!));
  });
}

/**
 * O' = Σ_g w_g O_g, normalised: (B, H, S, E).
 * @param weights broadcastable to (B, H, S, G); all ones give plain attention
 */
export function mergeGroups(partition: Partition, weights?: Tensor): Tensor {
  const lse = logSumExp(partition);
  const [B, H, S, G, E] = partition.partial.shape as [number, number, number, number, number];
  return build([B, H, S, E], (b, h, s, e) => {
    let o = 0;
    for (let g = 0; g < G; g++) {
      const max = at(partition.max, b!, h!, s!, g);
      if (max === Number.NEGATIVE_INFINITY) continue;
      const w = weights ? at(weights, b!, h!, s!, g) : 1;
      o += w * Math.exp(max - at(lse, b!, h!, s!)) * at(partition.partial, b!, h!, s!, g, e!);
    }
    return o;
  });
}
