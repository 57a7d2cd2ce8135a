/**
 * logitAffine (G3): S' = a·S + b·|S| + c, on visible scores.
 *
 * a is a temperature per head, b raises a logit by a share of its own size (imbalanced attention, PAI), c is a
 * log-weight: softmax(s + ln w)_j = w_j e^{s_j} / Σ_i w_i e^{s_i}.
 */
import { at, build, type Tensor } from './tensor.ts';

/** All broadcastable to (B, H, S, T). */
export interface LogitAffine {
  readonly a?: Tensor | undefined;
  readonly b?: Tensor | undefined;
  readonly c?: Tensor | undefined;
}

/** @param scores (B, H, S, T), finite: masks are applied by softmax, after this */
export function logitAffine(scores: Tensor, { a, b, c }: LogitAffine): Tensor {
  return build(scores.shape, (...i) => {
    const s = at(scores, ...i);
    return (a ? at(a, ...i) : 1) * s + (b ? at(b, ...i) : 0) * Math.abs(s) + (c ? at(c, ...i) : 0);
  });
}
