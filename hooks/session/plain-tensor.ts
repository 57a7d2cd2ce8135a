/** What ONNX Runtime reads of a tensor that it is fed, where its own class cannot be reached. */
import type { Runtime } from './runtime.ts';

/** A tensor of JavaScript alone, for runtimes whose own class cannot be reached. */
export const PlainTensor: Runtime['Tensor'] = class {
  readonly type: string;
  readonly data: unknown;
  readonly dims: readonly number[];
  readonly location = 'cpu';

  constructor(type: string, data: unknown, dims: readonly number[]) {
    this.type = type;
    this.data = data;
    this.dims = dims;
  }
};
