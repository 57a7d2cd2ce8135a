/**
 * Elements of GGUF tensors as float32. A block is 32 elements in a row.
 * Format: github.com/ggml-org/ggml, ggml-common.h and ggml-quants.c (`dequantize_row_*`); numbers are little-endian.
 */
import { AttuneError } from '../../errors.ts';

/** Elements of a block. */
const BLOCK = 32;

interface BlockFormat {
  readonly name: string;
  /** Elements that `bytes` bytes hold. */
  readonly elements: number;
  readonly bytes: number;
  /** Writes the elements of the block at byte `at` to out[to], … */
  read(view: DataView, at: number, out: Float32Array, to: number): void;
}

/** A format without blocks. */
const one =
  (element: (view: DataView, at: number) => number): BlockFormat['read'] =>
  (view, at, out, to) => {
    out[to] = element(view, at);
  };

/** By the number of the type in the file. */
const FORMATS: Readonly<Record<number, BlockFormat>> = {
  0: {
    name: 'F32',
    elements: 1,
    bytes: 4,
    read: one((view, at) => view.getFloat32(at, true)),
  },
  1: { name: 'F16', elements: 1, bytes: 2, read: one((view, at) => float16(view, at)) },
  // w = d (q − 8)
  2: {
    name: 'Q4_0',
    elements: BLOCK,
    bytes: 18,
    read: (view, at, out, to) => nibbles(view, at + 2, out, to, float16(view, at), -8),
  },
  // w = d q + m
  3: { name: 'Q4_1', elements: BLOCK, bytes: 20, read: readQ41 },
  // w = d q
  8: { name: 'Q8_0', elements: BLOCK, bytes: 34, read: readQ80 },
};

/** Bytes of `count` elements. @throws AttuneError CHECKPOINT_FORMAT for a type that is not read here */
export function ggmlBytes(type: number, count: number): number {
  const { elements, bytes } = formatOf(type);
  return (count / elements) * bytes;
}

/** @throws AttuneError CHECKPOINT_FORMAT for a type that is not read here */
export function dequantize(bytes: Uint8Array, type: number, count: number): Float32Array {
  const format = formatOf(type);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const out = new Float32Array(count);
  for (let to = 0, at = 0; to < count; to += format.elements, at += format.bytes)
    format.read(view, at, out, to);
  return out;
}

function formatOf(type: number): BlockFormat {
  const format = FORMATS[type];
  if (format) return format;
  throw new AttuneError('CHECKPOINT_FORMAT', {
    found: `a tensor of GGML type ${type}`,
    expected: Object.entries(FORMATS)
      .map(([type, { name }]) => `${name} (${type})`)
      .join(', '),
    hint: 'Take a GGUF file in one of these formats.',
  });
}

/** 16 bytes from `at`: low nibbles are elements 0 to 15, high nibbles 16 to 31; value = scale · (nibble + zero) + min. */
function nibbles(
  view: DataView,
  at: number,
  out: Float32Array,
  to: number,
  scale: number,
  zero: number,
  min = 0,
): void {
  for (let i = 0; i < BLOCK / 2; i++) {
    const byte = view.getUint8(at + i);
    out[to + i] = scale * ((byte & 15) + zero) + min;
    out[to + i + BLOCK / 2] = scale * ((byte >> 4) + zero) + min;
  }
}

function readQ41(view: DataView, at: number, out: Float32Array, to: number): void {
  nibbles(view, at + 4, out, to, float16(view, at), 0, float16(view, at + 2));
}

function readQ80(view: DataView, at: number, out: Float32Array, to: number): void {
  const scale = float16(view, at);
  for (let i = 0; i < BLOCK; i++) out[to + i] = scale * view.getInt8(at + 2 + i);
}

/** IEEE 754 binary16, by its bits. */
const FLOAT16 = Float32Array.from({ length: 2 ** 16 }, (_, bits) => {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
});

const float16 = (view: DataView, at: number): number => FLOAT16[view.getUint16(at, true)]!;
