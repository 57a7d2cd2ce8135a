/**
 * First pass over a model file: walk the nested messages and find the tensor payloads worth leaving on disk.
 * Everything else is kept, so the second pass (decode) runs synchronously in memory. A 1.2 GB model is skimmed
 * by reading a few megabytes.
 */
import type { Scan } from './source.ts';
import { type ByteRange, badWireType, FIXED32, FIXED64, LENGTH, truncated, VARINT } from './wire.ts';

/** Tensor payloads longer than this stay in the file. */
export const INLINE_LIMIT = 1024;

export interface Skimmed {
  /** The file without its holes. */
  readonly bytes: Uint8Array;
  /** File offset of each hole to its length. */
  readonly holes: ReadonlyMap<number, number>;
  readonly bytesRead: number;
}

type Kind = 'model' | 'graph' | 'node' | 'attribute' | 'tensor' | 'sparse' | 'function';

/** Field numbers of onnx.proto3 that lead to tensors, by message. */
const DESCEND: Record<Kind, Record<number, Kind>> = {
  model: { 7: 'graph', 25: 'function' },
  graph: { 1: 'node', 5: 'tensor', 15: 'sparse' },
  node: { 5: 'attribute' },
  attribute: { 5: 'tensor', 6: 'graph', 10: 'tensor', 11: 'graph', 22: 'sparse', 23: 'sparse' },
  sparse: { 1: 'tensor', 2: 'tensor' },
  function: { 7: 'node', 11: 'attribute' },
  tensor: {},
};

/** float_data, int32_data, int64_data, raw_data, double_data, uint64_data of TensorProto. */
export const PAYLOAD_FIELDS: ReadonlySet<number> = new Set([4, 5, 7, 9, 10, 11]);

/** Window sizes: small after a payload (only the next header is wanted), growing while reading on. */
const FIRST_WINDOW = 4 * 1024;
const LAST_WINDOW = 256 * 1024;
/** A tag and a length are two varints. */
const HEADER = 20;

export function* skim(size: number): Scan<Skimmed> {
  const kept: Uint8Array[] = [];
  const holes = new Map<number, number>();
  let window: Uint8Array = new Uint8Array(0);
  let windowStart = 0;
  let windowSize = FIRST_WINDOW;
  let position = 0;
  let bytesRead = 0;

  function* request(range: ByteRange): Scan<Uint8Array> {
    const bytes = yield range;
    if (bytes.length < range.length)
      throw truncated(range.offset + bytes.length, range.length - bytes.length);
    bytesRead += range.length;
    return bytes.subarray(0, range.length);
  }

  function* ensure(count: number): Scan<void> {
    if (position >= windowStart && position + count <= windowStart + window.length) return;
    const length = Math.min(Math.max(windowSize, count), size - position);
    window = yield* request({ offset: position, length });
    windowStart = position;
    windowSize = Math.min(windowSize * 2, LAST_WINDOW);
  }

  /** Keep the next `count` bytes and move past them. */
  function* keep(count: number): Scan<void> {
    const available = Math.max(0, Math.min(count, windowStart + window.length - position));
    const from = position - windowStart;
    if (available > 0) kept.push(window.subarray(from, from + available));
    position += available;
    if (available === count) return;
    const rest = count - available;
    if (rest > LAST_WINDOW) {
      kept.push(yield* request({ offset: position, length: rest }));
      position += rest;
    } else {
      yield* ensure(rest);
      yield* keep(rest);
    }
  }

  const stack: { kind: Kind; end: number }[] = [{ kind: 'model', end: size }];
  while (stack.length > 0) {
    const { kind, end } = stack.at(-1)!;
    if (position >= end) {
      stack.pop();
      continue;
    }
    yield* ensure(Math.min(HEADER, size - position));
    const tag = varintAt(window, position - windowStart, position);
    const field = Math.floor(tag.value / 8);
    const type = tag.value % 8;
    if (type !== LENGTH) {
      const width =
        type === VARINT
          ? varintAt(window, position - windowStart + tag.width, position + tag.width).width
          : type === FIXED64
            ? 8
            : type === FIXED32
              ? 4
              : 0;
      if (width === 0) throw badWireType(type, position);
      if (position + tag.width + width > end) throw truncated(position, tag.width + width);
      yield* keep(tag.width + width);
      continue;
    }
    const length = varintAt(window, position - windowStart + tag.width, position + tag.width);
    const body = position + tag.width + length.width;
    if (body + length.value > end) throw truncated(position, body + length.value - end);
    const child = DESCEND[kind][field];
    if (length.value <= INLINE_LIMIT) {
      yield* keep(tag.width + length.width + length.value);
    } else if (child) {
      yield* keep(tag.width + length.width);
      stack.push({ kind: child, end: body + length.value });
    } else if (kind === 'tensor' && PAYLOAD_FIELDS.has(field)) {
      yield* keep(tag.width + length.width);
      holes.set(position, length.value);
      position += length.value;
      windowSize = FIRST_WINDOW;
    } else {
      yield* keep(tag.width + length.width + length.value);
    }
  }
  return { bytes: concatenate(kept), holes, bytesRead };
}

function varintAt(bytes: Uint8Array, from: number, position: number): { value: number; width: number } {
  let value = 0;
  for (let i = 0; i < 10; i++) {
    const byte = bytes[from + i];
    if (byte === undefined) throw truncated(position + i, 1);
    value += (byte & 127) * 2 ** (7 * i);
    if (byte < 128) return { value, width: i + 1 };
  }
  throw badWireType(7, position);
}

export function concatenate(parts: readonly Uint8Array[]): Uint8Array {
  const result = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    result.set(part, at);
    at += part.length;
  }
  return result;
}
