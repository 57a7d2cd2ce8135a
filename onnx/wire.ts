/**
 * Protobuf wire primitives: a forward reader over bytes in memory and a writer that builds a message out of
 * pieces, where a piece may be a byte range that stays in its file. Knows nothing of ONNX.
 * Wire format: protobuf.dev/programming-guides/encoding.
 */
import { AttuneError } from '../errors.ts';

export const VARINT = 0;
export const FIXED64 = 1;
export const LENGTH = 2;
export const FIXED32 = 5;

/** A byte range of the model file that was left where it is. */
export interface ByteRange {
  /** First byte. */
  readonly offset: number;
  /** Number of bytes. */
  readonly length: number;
}

/**
 * Reads the bytes of a file with some ranges ("holes") cut out. Positions given and returned are positions in
 * the file, so that errors and external-data offsets are right; `skipHole` accounts for what was cut.
 */
export class WireReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #holes: ReadonlyMap<number, number>;
  #at = 0;
  #shift = 0;

  constructor(bytes: Uint8Array, holes: ReadonlyMap<number, number> = new Map()) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#holes = holes;
  }

  /** Position in the file. */
  get position(): number {
    return this.#at + this.#shift;
  }

  /** Position in the bytes held; grows with `position` except over holes. */
  get held(): number {
    return this.#at;
  }

  /** The bytes held between two `held` positions, as a view. */
  slice(from: number, to: number): Uint8Array {
    return this.#bytes.subarray(from, to);
  }

  #need(count: number): void {
    if (this.#at + count > this.#bytes.length) throw truncated(this.position, count);
  }

  /** Unsigned varint up to 2^53; larger (or negative int64) values come back as the nearest double. */
  varint(): number {
    return Number(this.#varint64(false));
  }

  /** Signed int64 in two's complement, rounded to a double beyond 2^53. */
  int64(): number {
    return Number(this.#varint64(true));
  }

  /** As `int64`, but a bigint where a double would round. */
  exactInt64(): number | bigint {
    const value = this.#varint64(true);
    return typeof value === 'bigint' && Number.isSafeInteger(Number(value)) ? Number(value) : value;
  }

  #varint64(signed: boolean): number | bigint {
    let value = 0;
    const start = this.#at;
    for (let i = 0; i < 4; i++) {
      this.#need(1);
      const byte = this.#bytes[this.#at++]!;
      value += (byte & 127) * 2 ** (7 * i);
      if (byte < 128) return value;
    }
    this.#at = start;
    let big = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      this.#need(1);
      const byte = this.#bytes[this.#at++]!;
      big |= BigInt(byte & 127) << shift;
      if (byte < 128) return signed ? BigInt.asIntN(64, big) : BigInt.asUintN(64, big);
    }
    throw new AttuneError('ONNX_MALFORMED', {
      at: `byte ${start + this.#shift}`,
      found: 'a varint of more than 10 bytes',
      hint: 'The file is damaged or is not an ONNX model.',
    });
  }

  float32(): number {
    this.#need(4);
    this.#at += 4;
    return this.#view.getFloat32(this.#at - 4, true);
  }

  /** Field number and wire type. */
  tag(): { field: number; type: number } {
    const position = this.position;
    const tag = this.varint();
    const field = Math.floor(tag / 8);
    if (field === 0 || field > 0x1fffffff) {
      throw new AttuneError('ONNX_MALFORMED', {
        at: `byte ${position}`,
        found: `field number ${field}`,
        hint: 'The file is damaged or is not an ONNX model.',
      });
    }
    return { field, type: tag % 8 };
  }

  /** Length of a length-delimited field, checked against the end of the enclosing message. */
  length(end: number): number {
    const position = this.position;
    const length = this.varint();
    if (this.position + length > end) throw truncated(position, length);
    return length;
  }

  /** The next `length` bytes as a view; they must not contain a hole. */
  bytes(length: number): Uint8Array {
    this.#need(length);
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  string(length: number): string {
    const bytes = this.bytes(length);
    if (length < 48) {
      let text = '';
      for (let i = 0; i < length; i++) {
        const code = bytes[i]!;
        if (code > 127) return decodeText(bytes, this.position - length);
        text += String.fromCharCode(code);
      }
      return text;
    }
    return decodeText(bytes, this.position - length);
  }

  /** If the file bytes that start here were cut out, step over them and return their range. */
  skipHole(): ByteRange | undefined {
    const offset = this.position;
    const length = this.#holes.get(offset);
    if (length === undefined) return undefined;
    this.#shift += length;
    return { offset, length };
  }

  /** Step over a field of the given wire type whose meaning does not matter here. */
  skip(type: number, end: number): void {
    if (type === VARINT) this.#varint64(false);
    else if (type === FIXED64) this.bytes(8);
    else if (type === LENGTH) this.bytes(this.length(end));
    else if (type === FIXED32) this.bytes(4);
    else throw badWireType(type, this.position);
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

function decodeText(bytes: Uint8Array, position: number): string {
  try {
    return utf8.decode(bytes);
  } catch (cause) {
    throw new AttuneError('ONNX_MALFORMED', {
      at: `byte ${position}`,
      found: 'a string that is not UTF-8',
      hint: 'The file is damaged or is not an ONNX model.',
      cause,
    });
  }
}

export function truncated(position: number, needed: number): AttuneError {
  return new AttuneError('ONNX_TRUNCATED', {
    at: `byte ${position}`,
    found: 'the end of the file or of the enclosing message',
    expected: `${needed} more byte${needed === 1 ? '' : 's'}`,
    hint: 'The download is incomplete or the file is damaged; fetch it again.',
  });
}

export function badWireType(type: number, position: number): AttuneError {
  return new AttuneError('ONNX_MALFORMED', {
    at: `byte ${position}`,
    found: `wire type ${type}`,
    expected: 'wire type 0, 1, 2 or 5',
    hint: 'The file is damaged or is not an ONNX model.',
  });
}

/** Bytes, or a range of the file they are in. */
export type Piece = Uint8Array | ByteRange;

const INT64_MAX = 2n ** 63n - 1n;

/** The int64 a number stands for: doubles have no 2^63 − 1, and round it to 2^63, which is none. */
export function saturated(value: number | bigint): bigint {
  const big = BigInt(value);
  return big > INT64_MAX ? INT64_MAX : big < -INT64_MAX - 1n ? -INT64_MAX - 1n : big;
}

/** Builds one message. Nested messages are other writers; ranges are carried along unread. */
export class WireWriter {
  readonly #pieces: Piece[] = [];
  #small: number[] = [];
  length = 0;

  get pieces(): Piece[] {
    this.#flush();
    return this.#pieces;
  }

  #flush(): void {
    if (this.#small.length === 0) return;
    this.#pieces.push(Uint8Array.from(this.#small));
    this.#small = [];
  }

  #varint(value: number | bigint): void {
    if (typeof value === 'bigint' || value < 0 || value > Number.MAX_SAFE_INTEGER) {
      let big = BigInt.asUintN(64, saturated(value));
      while (big > 127n) {
        this.#byte(Number(big & 127n) | 128);
        big >>= 7n;
      }
      this.#byte(Number(big));
      return;
    }
    let rest = value;
    while (rest > 127) {
      this.#byte((rest % 128) + 128);
      rest = Math.floor(rest / 128);
    }
    this.#byte(rest);
  }

  #byte(byte: number): void {
    this.#small.push(byte);
    this.length++;
  }

  /** Bytes that already are complete fields. */
  raw(piece: Piece): this {
    if (piece.length === 0) return this;
    this.#flush();
    this.#pieces.push(piece);
    this.length += piece.length;
    return this;
  }

  /** An int64. A double above 2^63 − 1 is that number rounded, and written as it. */
  varint(field: number, value: number | bigint): this {
    this.#varint(field * 8 + VARINT);
    this.#varint(value);
    return this;
  }

  float32(field: number, value: number): this {
    this.#varint(field * 8 + FIXED32);
    return this.raw(new Uint8Array(Float32Array.of(value).buffer));
  }

  bytes(field: number, piece: Piece): this {
    this.#varint(field * 8 + LENGTH);
    this.#varint(piece.length);
    return this.raw(piece);
  }

  string(field: number, text: string): this {
    return this.bytes(field, new TextEncoder().encode(text));
  }

  message(field: number, message: WireWriter): this {
    this.#varint(field * 8 + LENGTH);
    this.#varint(message.length);
    for (const piece of message.pieces) this.raw(piece);
    return this;
  }

  packedVarints(field: number, values: readonly number[]): this {
    const packed = new WireWriter();
    for (const value of values) packed.#varint(value);
    return this.message(field, packed);
  }

  packedFloats(field: number, values: readonly number[]): this {
    return this.bytes(field, new Uint8Array(Float32Array.from(values).buffer));
  }
}
