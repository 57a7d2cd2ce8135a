/** A GGUF file: its header by Hugging Face's own reader, its tensors one at a time. */
import { closeSync, existsSync, openSync, readSync } from 'node:fs';
import { gguf } from '@huggingface/gguf';
import { AttuneError } from '../../errors.ts';
import { dequantize, ggmlBytes } from './ggml-blocks.ts';

interface TensorPlace {
  readonly shape: readonly number[];
  readonly type: number;
  /** Byte in the file. */
  readonly offset: number;
}

export class GgufFile {
  readonly path: string;
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly #places: ReadonlyMap<string, TensorPlace>;

  private constructor(path: string, metadata: Record<string, unknown>, places: Map<string, TensorPlace>) {
    this.path = path;
    this.metadata = metadata;
    this.#places = places;
  }

  /** @throws AttuneError FILE_NOT_FOUND, CHECKPOINT_FORMAT */
  static async open(path: string): Promise<GgufFile> {
    if (!existsSync(path))
      throw new AttuneError('FILE_NOT_FOUND', { at: path, found: 'no such file', expected: 'a GGUF file' });
    const { metadata, tensorInfos, tensorDataOffset } = await header(path);
    const places = tensorInfos.map(({ name, shape, dtype, offset }): [string, TensorPlace] => [
      name,
      // Fastest axis first in the file, last here.
      { shape: shape.map(Number).reverse(), type: dtype, offset: Number(tensorDataOffset + offset) },
    ]);
    return new GgufFile(path, metadata as unknown as Record<string, unknown>, new Map(places));
  }

  has(name: string): boolean {
    return this.#places.has(name);
  }

  /** Axes of a tensor, [out, in] for a matrix. */
  shape(name: string): readonly number[] {
    return this.#place(name).shape;
  }

  /** Elements of a tensor, row-major. @throws AttuneError CHECKPOINT_FORMAT */
  tensor(name: string): Float32Array {
    const { shape, type, offset } = this.#place(name);
    const count = shape.reduce((product, dim) => product * dim, 1);
    const bytes = new Uint8Array(ggmlBytes(type, count));
    const file = openSync(this.path, 'r');
    try {
      const read = readSync(file, bytes, 0, bytes.length, offset);
      if (read !== bytes.length) throw this.#wrong(`${read} bytes of ${name}`, `${bytes.length}`);
    } finally {
      closeSync(file);
    }
    return dequantize(bytes, type, count);
  }

  #place(name: string): TensorPlace {
    const place = this.#places.get(name);
    if (place) return place;
    throw this.#wrong(`no tensor ${name}`, `one of ${[...this.#places.keys()].slice(0, 12).join(', ')}, …`);
  }

  #wrong(found: string, expected: string): AttuneError {
    return new AttuneError('CHECKPOINT_FORMAT', { at: this.path, found, expected });
  }
}

async function header(path: string): ReturnType<typeof gguf> {
  try {
    return await gguf(path, { allowLocalFile: true });
  } catch (cause) {
    const found = cause instanceof Error ? cause.message : String(cause);
    throw new AttuneError('CHECKPOINT_FORMAT', { at: path, found, expected: 'a GGUF file', cause });
  }
}
