/**
 * Dense float64 tensors of the reference: a shape and row-major data, nothing else.
 *
 * Letters used throughout kernels/: B batch, H query heads, K key/value heads, S query rows of this call, T keys
 * (T - S of them from earlier calls), D head size, E value head size, G groups of a partition.
 */
import { AttuneError } from '../../errors.ts';

export interface Tensor {
  readonly shape: readonly number[];
  readonly data: Float64Array;
}

export function zeros(...shape: number[]): Tensor {
  return { shape, data: new Float64Array(sizeOf(shape)) };
}

/** @throws AttuneError TENSOR_SHAPE when the number of elements is not the product of the shape */
export function tensor(shape: readonly number[], data: ArrayLike<number>): Tensor {
  if (sizeOf(shape) !== data.length) {
    throw new AttuneError('TENSOR_SHAPE', {
      found: `${data.length} elements`,
      expected: `${sizeOf(shape)} for shape [${shape.join(', ')}]`,
    });
  }
  return { shape, data: Float64Array.from(data) };
}

export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, dim) => product * dim, 1);
}

/**
 * The block t[index, …] as a view; all axes after the given ones stay. An axis of size 1 accepts any index, so
 * parameters of shape [1, H] or [B, H] read alike.
 */
export function block(t: Tensor, ...index: number[]): Float64Array {
  let size = 1;
  for (let axis = index.length; axis < t.shape.length; axis++) size *= t.shape[axis]!;
  const start = offset(t, index) * size;
  return t.data.subarray(start, start + size);
}

/** The element t[index], with the same broadcasting as `block`. */
export function at(t: Tensor, ...index: number[]): number {
  return t.data[offset(t, index)]!;
}

function offset({ shape }: Tensor, index: readonly number[]): number {
  let place = 0;
  for (let axis = 0; axis < index.length; axis++) {
    place = place * shape[axis]! + (shape[axis] === 1 ? 0 : index[axis]!);
  }
  return place;
}

/** All index tuples below the given sizes, last axis fastest: nested loops in one line. */
export function* indices(...sizes: number[]): Generator<number[]> {
  if (sizes.some((size) => size === 0)) return;
  const index = sizes.map(() => 0);
  for (;;) {
    yield [...index];
    let axis = sizes.length - 1;
    while (axis >= 0 && ++index[axis]! === sizes[axis]) index[axis--] = 0;
    if (axis < 0) return;
  }
}

/** A tensor filled by a function of its indices. */
export function build(shape: readonly number[], value: (...index: number[]) => number): Tensor {
  const data = new Float64Array(sizeOf(shape));
  const index = shape.map(() => 0);
  for (let i = 0; i < data.length; i++) {
    data[i] = value(...index);
    let axis = shape.length - 1;
    while (axis >= 0 && ++index[axis]! === shape[axis]) index[axis--] = 0;
  }
  return { shape, data };
}

export function map(t: Tensor, f: (x: number, i: number) => number): Tensor {
  return { shape: t.shape, data: t.data.map(f) };
}

export function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

/** Largest absolute value, `least` at least. */
export function largest({ data }: Tensor, least = 0): number {
  return data.reduce((top, x) => Math.max(top, Math.abs(x)), least);
}

/** Largest absolute difference; NaN on either side counts as infinite, -inf equals -inf. */
export function maxAbsError(actual: Tensor, expected: Tensor): number {
  if (actual.shape.join() !== expected.shape.join()) {
    throw new AttuneError('TENSOR_SHAPE', {
      found: `[${actual.shape.join(', ')}]`,
      expected: `[${expected.shape.join(', ')}]`,
    });
  }
  let worst = 0;
  for (let i = 0; i < expected.data.length; i++) {
    const [a, e] = [actual.data[i]!, expected.data[i]!];
    if (a === e) continue;
    const error = Math.abs(a - e);
    worst = Math.max(worst, Number.isNaN(error) ? Number.POSITIVE_INFINITY : error);
  }
  return worst;
}
