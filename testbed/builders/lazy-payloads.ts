/**
 * Tensor elements that are made when they are written, one tensor at a time, so that a model larger than memory
 * can be built. They live at virtual byte offsets: a tensor refers to its elements as a range, exactly as one
 * whose elements were left in a file, and everything in hooks/onnx that copies ranges works.
 */
import { AttuneError } from '../../errors.ts';
import type { ByteRange, ByteSource, Tensor } from '../../onnx/index.ts';

interface Entry {
  readonly end: number;
  readonly make: () => Uint8Array;
}

export class LazyPayloads implements ByteSource {
  readonly name = 'generated weights';
  readonly #entries = new Map<number, Entry>();
  #size = 0;
  /** The tensor made last: readers ask for consecutive parts of it. */
  #held: { readonly offset: number; readonly bytes: Uint8Array } | undefined;

  get size(): number {
    return this.#size;
  }

  /** A tensor of `length` bytes (raw, little-endian) that `make` returns on demand, possibly more than once. */
  tensor(
    name: string,
    dataType: number,
    dims: readonly number[],
    length: number,
    make: Entry['make'],
  ): Tensor {
    const range = { offset: this.#size, length };
    this.#size += length;
    this.#entries.set(range.offset, { end: this.#size, make });
    return { name, dataType, dims, payload: { kind: 'inline', field: 9, piece: range } };
  }

  readSync({ offset, length }: ByteRange): Uint8Array {
    const inHeld =
      this.#held &&
      offset >= this.#held.offset &&
      offset + length <= this.#held.offset + this.#held.bytes.length;
    if (!inHeld) this.#hold(offset, length);
    const { offset: start, bytes } = this.#held!;
    return bytes.subarray(offset - start, offset - start + length);
  }

  async read(range: ByteRange): Promise<Uint8Array> {
    return this.readSync(range);
  }

  #hold(offset: number, length: number): void {
    const entry = this.#entries.get(offset);
    const bytes = entry?.make();
    if (!entry || !bytes || offset + bytes.length !== entry.end || length > bytes.length) {
      throw new AttuneError('PAYLOAD_RANGE', {
        at: `${this.name}, byte ${offset}`,
        found: entry ? `${bytes?.length} bytes` : 'no tensor that starts here',
        expected: entry ? `${entry.end - offset} bytes` : `a tensor of at least ${length} bytes`,
      });
    }
    this.#held = { offset, bytes };
  }

  close(): void {
    this.#held = undefined;
  }
}
