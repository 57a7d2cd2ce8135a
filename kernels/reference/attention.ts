/**
 * Attention in float64, written as the equations are: scores, soft-cap, softmax over visible keys with an
 * optional learned sink logit per head, product with V. Query head h reads key/value head ⌊h / (H/K)⌋.
 */
import { at, block, build, dot, indices, type Tensor, zeros } from './tensor.ts';
import { type Mask, visibility } from './visibility.ts';

export interface AttentionOptions {
  /** Factor on q·k. Default 1/√D. */
  readonly scale?: number | undefined;
  /** c·tanh(s/c) on the scaled scores, as in Gemma 2. */
  readonly softcap?: number | undefined;
  /** (H): a logit that takes part in the denominator only (GPT-OSS, `head_sink`). */
  readonly headSink?: Tensor | undefined;
  readonly mask?: Mask | undefined;
  /** (B|1, H|1, S|1, T|1), added to the scores. */
  readonly bias?: Tensor | undefined;
}

export interface Attention {
  /** (B, H, S, T), after soft-cap, before bias and mask. */
  readonly scores: Tensor;
  /** (B, S, T) of 0 and 1. */
  readonly visible: Tensor;
  /** (B, H, S, T); rows that see nothing are zero. */
  readonly probs: Tensor;
  /** (B, H, S, E). */
  readonly output: Tensor;
}

/**
 * @param q (B, H, S, D) @param k (B, K, T, D) @param v (B, K, T, E)
 */
export function attention(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions = {}): Attention {
  const scores = scoresOf(q, k, options);
  const [B, , S] = q.shape as [number, number, number];
  const visible = visibility([B, S, k.shape[2]!], options.mask);
  const probs = softmax(biased(scores, options.bias), visible, options.headSink);
  return { scores, visible, probs, output: valuesOf(probs, v) };
}

/** softcap(scale · q kᵀ): (B, H, S, T). */
export function scoresOf(q: Tensor, k: Tensor, { scale, softcap }: AttentionOptions = {}): Tensor {
  const [B, H, S, D] = q.shape as [number, number, number, number];
  const [, K, T] = k.shape as [number, number, number];
  const factor = scale ?? 1 / Math.sqrt(D);
  const scores = zeros(B, H, S, T);
  for (const [b, h, s] of indices(B, H, S) as Iterable<[number, number, number]>) {
    const query = block(q, b, h, s);
    const keys = block(k, b, Math.floor(h / (H / K)));
    const row = block(scores, b, h, s);
    for (let t = 0; t < T; t++) {
      const score = factor * dot(query, keys.subarray(t * D, (t + 1) * D));
      row[t] = softcap ? softcap * Math.tanh(score / softcap) : score;
    }
  }
  return scores;
}

/** S + c, of a bias that broadcasts: (B, H, S, T). */
export function biased(scores: Tensor, bias: Tensor | undefined): Tensor {
  return bias ? build(scores.shape, (...i) => at(scores, ...i) + at(bias, ...i)) : scores;
}

/** P = exp(S - max) / Σ over visible keys (and the head's sink logit): (B, H, S, T). */
export function softmax(scores: Tensor, visible: Tensor, headSink?: Tensor): Tensor {
  const [B, H, S] = scores.shape as [number, number, number];
  const probs = zeros(...scores.shape);
  for (const [b, h, s] of indices(B, H, S) as Iterable<[number, number, number]>) {
    const row = block(scores, b, h, s);
    const seen = block(visible, b, s);
    const sink = headSink ? at(headSink, h) : Number.NEGATIVE_INFINITY;
    const max = row.reduce((top, x, t) => (seen[t] ? Math.max(top, x) : top), sink);
    if (max === Number.NEGATIVE_INFINITY) continue;
    const weights = row.map((x, t) => (seen[t] ? Math.exp(x - max) : 0));
    const sum = weights.reduce((total, w) => total + w, Math.exp(sink - max));
    block(probs, b, h, s).set(weights.map((w) => w / sum));
  }
  return probs;
}

/** O = P V: (B, H, S, E). */
export function valuesOf(probs: Tensor, v: Tensor): Tensor {
  const [B, H, S] = probs.shape as [number, number, number];
  const [, K, , E] = v.shape as [number, number, number, number];
  const output = zeros(B, H, S, E);
  for (const [b, h, s] of indices(B, H, S) as Iterable<[number, number, number]>) {
    const o = block(output, b, h, s);
    for (const [t, p] of block(probs, b, h, s).entries()) {
      if (p === 0) continue;
      const value = block(v, b, Math.floor(h / (H / K)), t);
      for (let e = 0; e < E; e++) o[e]! += p * value[e]!;
    }
  }
  return output;
}
