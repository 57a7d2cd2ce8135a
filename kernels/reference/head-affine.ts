/**
 * headAffine (G5): o' = s·o + gate·d on each head's output, before the output projection. s scales a head (VHR, head
 * knock-out with s = 0); d adds a direction where the gate is open (ITI).
 */
import { at, build, type Tensor } from './tensor.ts';

export interface HeadAffine {
  /** (B|1, H). Default 1. */
  readonly scale?: Tensor | undefined;
  /** Broadcastable to (B, H, S, E). */
  readonly direction?: Tensor | undefined;
  /** (B|1, S|1). Default 1. */
  readonly gate?: Tensor | undefined;
}

/** @param output (B, H, S, E) */
export function headAffine(output: Tensor, { scale, direction, gate }: HeadAffine): Tensor {
  return build(output.shape, (b, h, s, e) => {
    const added = direction ? (gate ? at(gate, b!, s!) : 1) * at(direction, b!, h!, s!, e!) : 0;
    return (scale ? at(scale, b!, h!) : 1) * at(output, b!, h!, s!, e!) + added;
  });
}
