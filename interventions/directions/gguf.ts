/**
 * Control vectors as repeng and llama.cpp keep them: GGUF of the architecture `controlvector`, a float32 tensor `direction.<layer>`
 * for each layer, in the residual stream as it leaves that layer. Sources: vgel/repeng, repeng/extract.py (export_gguf); ggml,
 * docs/gguf.md, version 3.
 */
import { type Directions, directionsOf, invalid } from './directions.ts';

/** Codes of value types in metadata; sizes of those that have one. */
const [UINT32, STRING, ARRAY] = [4, 8, 9];
const SIZES: Readonly<Record<number, number>> = {
  0: 1,
  1: 1,
  2: 2,
  3: 2,
  4: 4,
  5: 4,
  6: 4,
  7: 1,
  10: 8,
  11: 8,
  12: 8,
};
const ALIGNMENT = 32;
const aligned = (offset: number, to = ALIGNMENT) => Math.ceil(offset / to) * to;

/** @throws AttuneError DIRECTIONS_INVALID for directions of heads, which the format has none for */
export function encodeGguf({ at, vectors, about }: Directions, to: string): Uint8Array {
  if (at !== 'resid_post')
    throw invalid(to, 'directions of head outputs', 'of the residual stream, for a GGUF file');
  const head = new Writer();
  head.bytes('GGUF').uint32(3).uint64(vectors.size).uint64(3);
  head.text('general.architecture').uint32(STRING).text('controlvector');
  head
    .text('controlvector.model_hint')
    .uint32(STRING)
    .text(about.model_type ?? 'unknown');
  head.text('controlvector.layer_count').uint32(UINT32).uint32(vectors.size);
  let offset = 0;
  for (const [layer, { length, byteLength }] of vectors) {
    head.text(`direction.${layer}`).uint32(1).uint64(length).uint32(0).uint64(offset);
    offset = aligned(offset + byteLength);
  }
  const start = aligned(head.length);
  const bytes = new Uint8Array(start + offset);
  bytes.set(head.written);
  let place = start;
  for (const vector of vectors.values()) {
    bytes.set(new Uint8Array(vector.buffer, vector.byteOffset, vector.byteLength), place);
    place = aligned(place + vector.byteLength);
  }
  return bytes;
}

/** @throws AttuneError DIRECTIONS_INVALID */
export function decodeGguf(bytes: Uint8Array, from: string): Directions {
  try {
    return decoded(bytes, from);
  } catch (error) {
    if (error instanceof RangeError)
      throw invalid(from, `${bytes.length} bytes, and no end`, 'a whole GGUF file');
    throw error;
  }
}

function decoded(bytes: Uint8Array, from: string): Directions {
  const read = new Reader(bytes);
  const magic = String.fromCharCode(...bytes.subarray(0, 4));
  read.skip(4);
  const version = read.uint32();
  if (magic !== 'GGUF' || version < 2 || version > 3) {
    throw invalid(
      from,
      magic === 'GGUF' ? `GGUF of version ${version}` : 'no GGUF header',
      'GGUF of version 2 or 3',
    );
  }
  const [tensors, entries] = [read.uint64(), read.uint64()];
  const metadata = Object.fromEntries(
    Array.from({ length: entries }, () => [read.text(), read.value(read.uint32())]),
  );
  const architecture = metadata['general.architecture'];
  if (architecture !== 'controlvector') {
    throw invalid(from, `GGUF of the architecture ${String(architecture)}`, 'controlvector');
  }
  const infos = Array.from({ length: tensors }, () => ({
    name: read.text(),
    dims: Array.from({ length: read.uint32() }, () => read.uint64()),
    type: read.uint32(),
    offset: read.uint64(),
  }));
  const alignment =
    typeof metadata['general.alignment'] === 'number' ? metadata['general.alignment'] : ALIGNMENT;
  const start = aligned(read.at, alignment);
  const vectors = infos.map(({ name, dims, type, offset }): [number, Float32Array] => {
    const layer = /^direction\.(\d+)$/.exec(name)?.[1];
    if (layer === undefined) throw invalid(from, `a tensor "${name}"`, 'names as direction.3');
    if (type !== 0) throw invalid(`${from}, ${name}`, `numbers of ggml type ${type}`, 'F32, type 0');
    return [
      Number(layer),
      read.floats(
        start + offset,
        dims.reduce((product, n) => product * n, 1),
      ),
    ];
  });
  const hint = metadata['controlvector.model_hint'];
  return directionsOf('resid_post', vectors, from, typeof hint === 'string' ? { model_type: hint } : {});
}

class Writer {
  readonly #parts: Uint8Array[] = [];
  length = 0;

  get written(): Uint8Array {
    return Buffer.concat(this.#parts);
  }

  #add(part: Uint8Array): this {
    this.#parts.push(part);
    this.length += part.length;
    return this;
  }

  bytes(text: string): this {
    return this.#add(new TextEncoder().encode(text));
  }

  uint32(value: number): this {
    return this.#add(new Uint8Array(Uint32Array.of(value).buffer));
  }

  uint64(value: number): this {
    return this.#add(new Uint8Array(BigUint64Array.of(BigInt(value)).buffer));
  }

  text(text: string): this {
    return this.uint64(new TextEncoder().encode(text).length).bytes(text);
  }
}

/** Little-endian, as the machines ONNX Runtime runs on. @throws RangeError beyond the end */
class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  skip(count: number): void {
    this.at += count;
    if (this.at > this.#bytes.length) throw new RangeError();
  }

  uint32(): number {
    this.skip(4);
    return this.#view.getUint32(this.at - 4, true);
  }

  uint64(): number {
    this.skip(8);
    return Number(this.#view.getBigUint64(this.at - 8, true));
  }

  text(): string {
    const length = this.uint64();
    this.skip(length);
    return new TextDecoder().decode(this.#bytes.subarray(this.at - length, this.at));
  }

  /** A string or a uint32; other types are passed over. */
  value(type: number): string | number | undefined {
    if (type === STRING) return this.text();
    if (type === UINT32) return this.uint32();
    if (type === ARRAY) {
      const [inner, count] = [this.uint32(), this.uint64()];
      for (let i = 0; i < count; i++) this.value(inner);
      return undefined;
    }
    const size = SIZES[type];
    if (size === undefined) throw new RangeError();
    this.skip(size);
    return undefined;
  }

  floats(from: number, count: number): Float32Array {
    return Float32Array.from({ length: count }, (_, i) => this.#view.getFloat32(from + 4 * i, true));
  }
}
