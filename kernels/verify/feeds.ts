/** Tensors of a problem as feeds of a one-site graph, and back. */
import { DataType } from '../../onnx/index.ts';
import type { Problem } from '../problem.ts';
import { at, block, build, indices, type Tensor, tensor, zeros } from '../reference/tensor.ts';
import type { Feed, Result } from './runner.ts';

export function feed(x: Tensor, elemType: number = DataType.FLOAT): Feed {
  return { elemType, dims: x.shape, values: x.data };
}

/** Rows [from, to) of (B, N, ·, D). */
export function rows(x: Tensor, from: number, to: number, elemType: number): Feed {
  const [B, N, , D] = x.shape as [number, number, number, number];
  const value = zeros(B, N, to - from, D);
  for (const [b, n] of indices(B, N) as Iterable<[number, number]>) {
    block(value, b, n).set(block(x, b, n).subarray(from * D, to * D));
  }
  return feed(value, elemType);
}

/** The same as (B, ·, N·D). */
export function flat(x: Tensor, from: number, to: number, elemType: number): Feed {
  const [B, N, , D] = x.shape as [number, number, number, number];
  const value = zeros(B, to - from, N * D);
  for (const [b, n, s] of indices(B, N, to - from) as Iterable<[number, number, number]>) {
    block(value, b, s).set(block(x, b, n, from + s), n * D);
  }
  return feed(value, elemType);
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
