/**
 * probMap (G4), the re-weighting step of softplus attention (arXiv 2501.13428): weights relative to the uniform one,
 * P·n, are shifted, raised to a power and renormalised, blended with the row as it was,
 *
 *   f_t = max(0, P_t n - O)^p        P' = (1 - w) P + w f / Σ f
 *
 * n counts the keys the row sees. p = 1 and O = 0 is the identity. A row without mass above O stays as it is.
 */
import { at, block, indices, type Tensor, zeros } from './tensor.ts';

export interface ProbMap {
  readonly power: number;
  /** Broadcastable to (S): the offset O of each row. Default 0. */
  readonly offset?: Tensor | undefined;
  /** w. Default 1. */
  readonly blend?: number | undefined;
}

/** @param probs (B, H, S, T) @param visible (B, S, T) */
export function probMap(probs: Tensor, visible: Tensor, { power, offset, blend = 1 }: ProbMap): Tensor {
  const [B, H, S] = probs.shape as [number, number, number];
  const result = zeros(...probs.shape);
  for (const [b, h, s] of indices(B, H, S) as Iterable<[number, number, number]>) {
    const p = block(probs, b, h, s);
    const n = block(visible, b, s).reduce((total, v) => total + v, 0);
    const above = p.map((x) => Math.max(0, x * n - (offset ? at(offset, s) : 0)));
    const top = above.reduce((most, x) => Math.max(most, x), 0);
    // Dividing by the row's maximum first leaves the ratio alone and keeps the power finite.
    const f = above.map((x) => (x / top) ** power);
    const sum = f.reduce((total, x) => total + x, 0);
    block(result, b, h, s).set(top > 0 ? p.map((x, t) => (1 - blend) * x + (blend * f[t]!) / sum) : p);
  }
  return result;
}
