/** What the suite measures attention on: shapes of models, calls, and what one site is fed in a call. */

import type { Feed } from '../../kernels/verify/runner.ts';
import { DataType } from '../../onnx/index.ts';

export interface Shape {
  readonly name: string;
  readonly H: number;
  readonly K: number;
  readonly D: number;
  /** Layers of the model, each with such a site. */
  readonly layers: number;
}

export const SHAPES: readonly Shape[] = [
  { name: 'Llama-3.2-1B', H: 32, K: 8, D: 64, layers: 16 },
  { name: 'Qwen2.5-0.5B', H: 14, K: 2, D: 64, layers: 24 },
];

export const CALLS = [
  { name: 'decode 512', S: 1, past: 511, pairs: 60 },
  { name: 'decode 2048', S: 1, past: 2047, pairs: 60 },
  { name: 'prefill 512', S: 512, past: 0, pairs: 9 },
  { name: 'prefill 2048', S: 2048, past: 0, pairs: 5 },
] as const;

/** Positions of the rotary tables. */
const LONGEST = 2048;

/** Keys that draw attention from all rows, as a few do in trained models. The first is never an ACT sink. */
const SINKS = [0, 5, 9, 40];
export const isSink = (t: number) => Number(SINKS.includes(t));

/** Of a GroupQueryAttention and its rotary tables. */
export function feedsOf({ H, K, D }: Shape, { S, past }: { S: number; past: number }) {
  /** @param drawn what is added where attention is to be drawn from, or to */
  const floats = (dims: number[], drawn: (i: number) => number = () => 0): Feed => {
    const size = dims.reduce((a, b) => a * b, 1);
    const values = Float32Array.from(
      { length: size },
      (_, i) => Math.sin(i * 0.7) + Math.cos(i * i * 0.13) + drawn(i),
    );
    return { elemType: DataType.FLOAT, dims, values };
  };
  const table = (f: (angle: number) => number): Feed => {
    const values = Float32Array.from({ length: LONGEST * (D / 2) }, (_, i) => {
      const [t, channel] = [Math.floor(i / (D / 2)), i % (D / 2)];
      return f(t * 500_000 ** (-channel / (D / 2)));
    });
    return { elemType: DataType.FLOAT, dims: [LONGEST, D / 2], values };
  };
  const pull = (t: number) => 0.6 * isSink(t);
  return {
    q: floats([1, S, H * D], () => 0.6),
    k: floats([1, S, K * D], (i) => pull(past + Math.floor(i / (K * D)))),
    v: floats([1, S, K * D]),
    past_k: floats([1, K, past, D], (i) => pull(Math.floor(i / D) % past)),
    past_v: floats([1, K, past, D]),
    seqlens: { elemType: DataType.INT32, dims: [1], values: [past + S - 1] },
    total: { elemType: DataType.INT32, dims: [], values: [past + S] },
    // Rotation is part of the operator in most exports, and what it costs apart from it counts.
    cos: table(Math.cos),
    sin: table(Math.sin),
  };
}
