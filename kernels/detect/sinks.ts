/**
 * ACT's sinks (Yu et al., arXiv 2406.15765): keys whose mean attention exceeds a threshold, never the first real token.
 */
import { at, block, build, indices, type Tensor, zeros } from '../reference/tensor.ts';

/** An absolute weight (the released code's form) or a multiple of the uniform weight 1/N (the paper's). */
export type Threshold =
  | { readonly mode: 'absolute'; readonly tau: number }
  | { readonly mode: 'relative'; readonly alpha: number };

export interface SinkOptions {
  readonly threshold: Threshold;
  /** 'initial' spares the first real token, 'first_detected' the first key above the threshold. */
  readonly exclude: 'initial' | 'first_detected';
  /** Column of the first real token of each batch row. */
  readonly first: readonly number[];
}

export function thresholdOf(threshold: Threshold, keys: number): number {
  return threshold.mode === 'absolute' ? threshold.tau : threshold.alpha / keys;
}

/**
 * @param score (B, H, T) column scores @param count (B, T) rows that see each key
 * @returns (B, H, T) of 0 and 1
 */
export function sinksOf(score: Tensor, count: Tensor, options: SinkOptions): Tensor {
  const [B, H, T] = score.shape as [number, number, number];
  const sinks = zeros(B, H, T);
  for (const [b, h] of indices(B, H) as Iterable<[number, number]>) {
    const tau = thresholdOf(options.threshold, T - options.first[b]!);
    const hit = block(score, b, h).map((x, t) => Number(at(count, b, t) > 0 && x > tau));
    block(sinks, b, h).set(spare(hit, b, options));
  }
  return sinks;
}

/** Stateless detection on each row by itself; N is the number of keys the row sees. (B, H, S, T) */
export function rowSinks(probs: Tensor, visible: Tensor, options: SinkOptions): Tensor {
  const [B, H, S] = probs.shape as [number, number, number];
  const sinks = zeros(...probs.shape);
  for (const [b, h, s] of indices(B, H, S) as Iterable<[number, number, number]>) {
    const seen = block(visible, b, s);
    const tau = thresholdOf(
      options.threshold,
      seen.reduce((n, v) => n + v, 0),
    );
    const hit = block(probs, b, h, s).map((p, t) => Number(seen[t] === 1 && p > tau));
    block(sinks, b, h, s).set(spare(hit, b, options));
  }
  return sinks;
}

function spare(hit: Float64Array, b: number, { exclude, first }: SinkOptions): Float64Array {
  const spared = exclude === 'initial' ? first[b]! : hit.indexOf(1);
  return hit.map((x, t) => (t === spared ? 0 : x));
}

/** Group ids for actRule: 0 rest, 1 sink, with the axes the sinks came in. */
export function sinkGroups(sinks: Tensor): Tensor {
  if (sinks.shape.length === 4) return sinks;
  const [B, H, T] = sinks.shape as [number, number, number];
  return build([B, H, 1, T], (b, h, _, t) => at(sinks, b!, h!, t!));
}
