/** Tensors of a problem as feeds of a one-site graph, and back. */
import { DataType } from '../../hooks/onnx/index.ts';
import type { Problem } from '../problem.ts';
import { at, build, type Tensor, tensor } from '../reference/tensor.ts';
import type { Feed, Result } from './runner.ts';

export function feed(x: Tensor, elemType: number = DataType.FLOAT): Feed {
  return { elemType, dims: x.shape, values: x.data };
}

/** Rows [from, to) of (B, N, ·, D). */
export function rows(x: Tensor, from: number, to: number, elemType: number): Feed {
  const [B, N, , D] = x.shape as [number, number, number, number];
  return feed(
    build([B, N, to - from, D], (b, n, s, d) => at(x, b!, n!, from + s!, d!)),
    elemType,
  );
}

/** The same as (B, ·, N·D). */
export function flat(x: Tensor, from: number, to: number, elemType: number): Feed {
  const [B, N, , D] = x.shape as [number, number, number, number];
  const value = build([B, to - from, N * D], (b, s, i) => at(x, b!, Math.floor(i! / D), from + s!, i! % D));
  return feed(value, elemType);
}

export function perBatch(count: Tensor): Tensor {
  const [B, P] = count.shape as [number, number];
  return tensor([B, 1, P], count.data);
}

/** Declared shapes: only ranks and head sizes are fixed, as in exported models. */
export function symbolic(name: string, dims: readonly number[]): (number | string)[] {
  const keep = ['q', 'k', 'v', 'past_k', 'past_v'].includes(name);
  return dims.map((dim, i) =>
    keep && (i === dims.length - 1 || (dims.length === 4 && i === 1)) ? dim : `${name}_${i}`,
  );
}

export function asTensor({ dims, data }: Result): Tensor {
  return tensor(dims, Array.from(data, Number));
}

/** Head outputs (B, H, S, E) from [B, S, H·E]. Rows that are padding are nobody's: the reference leaves them zero. */
export function headOutputs(z: Tensor, { k, v, q, mask }: Problem): Tensor {
  const [B, H, S] = q.shape as [number, number, number];
  const E = v.shape[3]!;
  const past = k.shape[2]! - S;
  return build([B, H, S, E], (b, h, s, e) => {
    return mask?.keys && at(mask.keys, b!, past + s!) === 0 ? 0 : at(z, b!, s!, h! * E + e!);
  });
}
