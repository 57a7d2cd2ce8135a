/**
 * rePosition (G1, G2): rotary position embedding at given positions. Rotations of one plane compose by adding angles,
 * R(a) R(b) = R(a+b), so a rotated key moves from position a to b by rotating it once more by b - a, and a logit
 * R(x, m)·R(y, n) depends on m - n only.
 */
import { at, block, build, type Tensor, zeros } from './tensor.ts';

export interface Rope {
  /** Angle per position of each rotated pair, length dim/2. */
  readonly frequencies: readonly number[];
  /** Pairs are neighbours (2i, 2i+1) instead of halves (i, i + dim/2). Default false. */
  readonly interleaved?: boolean | undefined;
}

/** Frequencies θ^(-2i/dim). `dim` below the head size rotates only the first channels (partial rotary). */
export function rope(theta: number, dim: number, interleaved = false): Rope {
  return { frequencies: Array.from({ length: dim / 2 }, (_, i) => theta ** ((-2 * i) / dim)), interleaved };
}

/**
 * @param x (B, N, S, D), N heads of either kind
 * @param positions broadcastable to (B, N, S); a difference of positions re-positions an already rotated x
 */
export function rePosition(x: Tensor, positions: Tensor, { frequencies, interleaved = false }: Rope): Tensor {
  const [B, N, S, D] = x.shape as [number, number, number, number];
  const half = frequencies.length;
  const result = zeros(B, N, S, D);
  result.data.set(x.data);
  for (let b = 0; b < B; b++) {
    for (let n = 0; n < N; n++) {
      for (let s = 0; s < S; s++) {
        const from = block(x, b, n, s);
        const to = block(result, b, n, s);
        for (const [i, frequency] of frequencies.entries()) {
          const angle = at(positions, b, n, s) * frequency;
          const [lo, hi] = interleaved ? [2 * i, 2 * i + 1] : [i, i + half];
          to[lo] = from[lo]! * Math.cos(angle) - from[hi]! * Math.sin(angle);
          to[hi] = from[lo]! * Math.sin(angle) + from[hi]! * Math.cos(angle);
        }
      }
    }
  }
  return result;
}

/** The tables RotaryEmbedding and GroupQueryAttention take: cos and sin, each (positions, dim/2). */
export function rotaryTables({ frequencies }: Rope, positions: number): { cos: Tensor; sin: Tensor } {
  const table = (f: (angle: number) => number) =>
    build([positions, frequencies.length], (p, i) => f(p! * frequencies[i!]!));
  return { cos: table(Math.cos), sin: table(Math.sin) };
}
