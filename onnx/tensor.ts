/** Tensors made and read: element types, constants for new nodes, values of small tensors already in memory. */
import { AttuneError } from '../errors.ts';
import { halfToNumber } from './half.ts';
import { DataType, type Tensor } from './model.ts';
import type { ByteSource } from './source.ts';
import { saturated, WireReader } from './wire.ts';

const NAMES = new Map(Object.entries(DataType).map(([name, type]) => [type as number, name.toLowerCase()]));

/** 'float', 'int64', 'float16', …; 'type 99' for one this version does not know. */
export function dataTypeName(type: number): string {
  return NAMES.get(type) ?? `type ${type}`;
}

const BITS: Record<number, number> = {
  [DataType.FLOAT]: 32,
  [DataType.UINT8]: 8,
  [DataType.INT8]: 8,
  [DataType.UINT16]: 16,
  [DataType.INT16]: 16,
  [DataType.INT32]: 32,
  [DataType.INT64]: 64,
  [DataType.BOOL]: 8,
  [DataType.FLOAT16]: 16,
  [DataType.DOUBLE]: 64,
  [DataType.UINT32]: 32,
  [DataType.UINT64]: 64,
  [DataType.COMPLEX64]: 64,
  [DataType.COMPLEX128]: 128,
  [DataType.BFLOAT16]: 16,
  [DataType.FLOAT8E4M3FN]: 8,
  [DataType.FLOAT8E4M3FNUZ]: 8,
  [DataType.FLOAT8E5M2]: 8,
  [DataType.FLOAT8E5M2FNUZ]: 8,
  [DataType.UINT4]: 4,
  [DataType.INT4]: 4,
  [DataType.FLOAT4E2M1]: 4,
  [DataType.FLOAT8E8M0]: 8,
  [DataType.UINT2]: 2,
  [DataType.INT2]: 2,
};

/** Bits per element as stored in raw_data; undefined for strings and unknown types. */
export function elementBits(type: number): number | undefined {
  return BITS[type];
}

/** Number of elements. */
export function elementCount(tensor: Tensor): number {
  return tensor.dims.reduce((product, dim) => product * dim, 1);
}

/** A new float tensor. `dims` defaults to one dimension; pass [] for a scalar. */
export function floatTensor(
  name: string,
  values: readonly number[] | Float32Array,
  dims = [values.length],
): Tensor {
  return rawTensor(name, DataType.FLOAT, dims, new Uint8Array(Float32Array.from(values).buffer));
}

/** A new int64 tensor; `dims` defaults to one dimension. */
export function int64Tensor(
  name: string,
  values: readonly (number | bigint)[],
  dims = [values.length],
): Tensor {
  const bytes = new Uint8Array(BigInt64Array.from(values, saturated).buffer);
  return rawTensor(name, DataType.INT64, dims, bytes);
}

/** A new bool tensor; `dims` defaults to one dimension. */
export function boolTensor(name: string, values: readonly boolean[], dims = [values.length]): Tensor {
  return rawTensor(name, DataType.BOOL, dims, Uint8Array.from(values, Number));
}

/** Little-endian bytes of any element type. */
export function rawTensor(
  name: string,
  dataType: number,
  dims: readonly number[],
  bytes: Uint8Array,
): Tensor {
  return { name, dataType, dims, payload: { kind: 'inline', field: 9, piece: bytes } };
}

/**
 * Elements as numbers, in row-major order. Undefined when the payload is not in memory (left in the file and no
 * `source` with synchronous reads given, or external) or the type has no plain numeric reading (strings, sub-byte).
 *
 * @throws AttuneError ONNX_MALFORMED when the payload is shorter than the dims say
 */
export function tensorValues(tensor: Tensor, source?: ByteSource): number[] | undefined {
  const payload = tensor.payload;
  const count = elementCount(tensor);
  if (!payload) return count === 0 ? [] : undefined;
  if (payload.kind !== 'inline') return undefined;
  const bytes = payload.piece instanceof Uint8Array ? payload.piece : source?.readSync?.(payload.piece);
  if (!bytes) return undefined;
  const values =
    payload.field === 9
      ? rawValues(tensor.dataType, bytes)
      : fieldValues(tensor.dataType, payload.field, bytes);
  if (values && values.length < count) {
    throw new AttuneError('ONNX_MALFORMED', {
      at: `tensor ${tensor.name}`,
      found: `${values.length} elements`,
      expected: `${count} for dims [${tensor.dims.join(', ')}]`,
    });
  }
  return values;
}

function rawValues(type: number, bytes: Uint8Array): number[] | undefined {
  const bits = BITS[type];
  if (!bits || bits < 8) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const read = (width: number, get: (at: number) => number) =>
    Array.from({ length: Math.floor(bytes.length / width) }, (_, i) => get(i * width));
  switch (type) {
    case DataType.FLOAT:
      return read(4, (at) => view.getFloat32(at, true));
    case DataType.DOUBLE:
      return read(8, (at) => view.getFloat64(at, true));
    case DataType.INT64:
      return read(8, (at) => Number(view.getBigInt64(at, true)));
    case DataType.UINT64:
      return read(8, (at) => Number(view.getBigUint64(at, true)));
    case DataType.INT32:
      return read(4, (at) => view.getInt32(at, true));
    case DataType.UINT32:
      return read(4, (at) => view.getUint32(at, true));
    case DataType.INT16:
      return read(2, (at) => view.getInt16(at, true));
    case DataType.UINT16:
      return read(2, (at) => view.getUint16(at, true));
    case DataType.INT8:
      return read(1, (at) => view.getInt8(at));
    case DataType.UINT8:
    case DataType.BOOL:
      return read(1, (at) => view.getUint8(at));
    case DataType.FLOAT16:
      return read(2, (at) => halfToNumber(view.getUint16(at, true)));
    case DataType.BFLOAT16:
      return read(2, (at) => bfloatToNumber(view.getUint16(at, true)));
    default:
      return undefined;
  }
}

/** The typed `*_data` fields hold narrow types in wider ones; half floats as bit patterns in int32_data. */
function fieldValues(type: number, field: number, bytes: Uint8Array): number[] | undefined {
  if (field === 4) return type === DataType.FLOAT ? rawValues(DataType.FLOAT, bytes) : undefined;
  if (field === 10) return type === DataType.DOUBLE ? rawValues(DataType.DOUBLE, bytes) : undefined;
  if ((BITS[type] ?? 0) < 8) return undefined;
  const reader = new WireReader(bytes);
  const values: number[] = [];
  while (reader.position < bytes.length) values.push(field === 11 ? reader.varint() : reader.int64());
  if (type === DataType.FLOAT16) return values.map(halfToNumber);
  if (type === DataType.BFLOAT16) return values.map(bfloatToNumber);
  return values;
}

function bfloatToNumber(bits: number): number {
  return new Float32Array(Uint32Array.of(bits << 16).buffer)[0]!;
}
