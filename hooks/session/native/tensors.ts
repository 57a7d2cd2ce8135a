/**
 * Tensors on their way in and out. A tensor that stays in native memory looks like one on a GPU (`location` 'gpu-buffer'), which
 * transformers.js hands on and disposes of; its numbers can be read all the same, at the price of a copy.
 */
import { AttuneError } from '../../../errors.ts';
import type { OrtTensor, Runtime } from '../runtime.ts';
import type { NativeAddon, NativeHandle, NativeResult } from './addon.ts';

interface ElementType {
  readonly name: string;
  readonly view: (bytes: Uint8Array) => ArrayBufferView;
}

const view =
  (
    Numbers: new (buffer: ArrayBufferLike, offset: number, length: number) => ArrayBufferView,
    width: number,
  ) =>
  ({ buffer, byteOffset, byteLength }: Uint8Array) =>
    new Numbers(buffer, byteOffset, byteLength / width);

/** By TensorProto.DataType. */
const ELEMENTS: Readonly<Record<number, ElementType>> = {
  1: { name: 'float32', view: view(Float32Array, 4) },
  2: { name: 'uint8', view: view(Uint8Array, 1) },
  3: { name: 'int8', view: view(Int8Array, 1) },
  4: { name: 'uint16', view: view(Uint16Array, 2) },
  5: { name: 'int16', view: view(Int16Array, 2) },
  6: { name: 'int32', view: view(Int32Array, 4) },
  7: { name: 'int64', view: view(BigInt64Array, 8) },
  9: { name: 'bool', view: view(Uint8Array, 1) },
  10: { name: 'float16', view: view(Uint16Array, 2) },
  11: { name: 'float64', view: view(Float64Array, 8) },
  12: { name: 'uint32', view: view(Uint32Array, 4) },
  13: { name: 'uint64', view: view(BigUint64Array, 8) },
};

const CODES: ReadonlyMap<string, number> = new Map(
  Object.entries(ELEMENTS).map(([code, { name }]) => [name, Number(code)]),
);

/** onnxruntime-common's name of an element type; undefined for those that cannot be fed. */
export const elementName = (element: number): string | undefined => ELEMENTS[element]?.name;

/** @throws AttuneError NATIVE_TENSOR for strings and packed types */
export function elementCode(tensor: OrtTensor, input: string): number {
  const code = CODES.get(tensor.type);
  if (code !== undefined) return code;
  throw new AttuneError('NATIVE_TENSOR', {
    at: input,
    found: `a tensor of type ${tensor.type}`,
    expected: [...CODES.keys()].join(', '),
    hint: 'Use runtime: "onnxruntime" for it.',
  });
}

/** @throws AttuneError HANDLE_DISPOSED, HANDLE_FOREIGN */
export function dataOf(tensor: OrtTensor, input: string, addon: NativeAddon): Uint8Array | NativeHandle {
  if (tensor.location === 'none') {
    throw new AttuneError('HANDLE_DISPOSED', {
      at: input,
      found: 'a tensor that was disposed',
      hint: 'transformers.js disposes of a cache when it has a newer one; keep what the newest call returned.',
    });
  }
  if (tensor.location === undefined || tensor.location === 'cpu' || tensor.location === 'cpu-pinned') {
    return bytesOf(tensor.data as ArrayBufferView);
  }
  const handle = (tensor as { gpuBuffer?: unknown }).gpuBuffer;
  if (handle instanceof addon.Handle) return handle;
  throw new AttuneError('HANDLE_FOREIGN', {
    at: input,
    found: `a tensor at ${tensor.location} of another runtime`,
    expected: 'one in memory, or one that the native runtime returned',
    hint: 'Download it first: await tensor.getData().',
  });
}

function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

type FromBuffer = (handle: NativeHandle, options: object) => OrtTensor;

export function tensorOf({ element, dims, bytes, handle }: NativeResult, runtime: Runtime): OrtTensor {
  const { name, view } = ELEMENTS[element]!;
  if (!handle) return new runtime.Tensor(name, view(bytes!), dims);
  const download = () => view(handle.download());
  const { fromGpuBuffer } = runtime.Tensor as unknown as { fromGpuBuffer: FromBuffer };
  const tensor = fromGpuBuffer.call(runtime.Tensor, handle, {
    dataType: name,
    dims,
    download: async () => download(),
    dispose: () => handle.dispose(),
  });
  return readable(tensor, download);
}

/** Give a tensor at a GPU's address the property `data`: what is there lies in the memory of this process. */
function readable(tensor: OrtTensor, download: () => ArrayBufferView): OrtTensor {
  let copy: WeakRef<ArrayBufferView> | undefined;
  return Object.defineProperty(tensor, 'data', {
    configurable: true,
    get() {
      if (tensor.location !== 'gpu-buffer') {
        return Reflect.get(Object.getPrototypeOf(tensor) as object, 'data', tensor) as unknown;
      }
      const known = copy?.deref();
      if (known) return known;
      const fresh = download();
      copy = new WeakRef(fresh);
      return fresh;
    },
  });
}
