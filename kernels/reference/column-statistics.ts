/**
 * Column statistics of attention maps: how much weight a key receives from the rows that can see it,
 *
 *   C[b,h,t] = Σ_s P[b,h,s,t]        n[b,t] = number of rows that see t        score = C / n.
 *
 * Sums over rows add up over calls, so decoding and chunked prefill keep (C, n) as running state and arrive at what
 * one prefill over the whole sequence would give. P is the map before any edit.
 */
import { at, build, type Tensor } from './tensor.ts';

export interface ColumnState {
  /** (B, H, T). */
  readonly sum: Tensor;
  /** (B, T). */
  readonly count: Tensor;
}

/**
 * @param probs (B, H, S, T) @param visible (B, S, T)
 * @param before totals over earlier rows, for the first T - S keys; new keys start from zero
 */
export function columnStatistics(probs: Tensor, visible: Tensor, before?: ColumnState): ColumnState {
  const [B, H, S, T] = probs.shape as [number, number, number, number];
  const known = before?.count.shape[1] ?? 0;
  const over = (f: (s: number) => number) => {
    let total = 0;
    for (let s = 0; s < S; s++) total += f(s);
    return total;
  };
  return {
    sum: build([B, H, T], (b, h, t) => {
      return over((s) => at(probs, b!, h!, s, t!)) + (before && t! < known ? at(before.sum, b!, h!, t!) : 0);
    }),
    count: build([B, T], (b, t) => {
      return over((s) => at(visible, b!, s, t!)) + (before && t! < known ? at(before.count, b!, t!) : 0);
    }),
  };
}

/** Mean weight a key gets from the rows that see it, 0 for a key nobody sees: (B, H, T). */
export function columnScore({ sum, count }: ColumnState): Tensor {
  return build(sum.shape, (b, h, t) => {
    const n = at(count, b!, t!);
    return n > 0 ? at(sum, b!, h!, t!) / n : 0;
  });
}
