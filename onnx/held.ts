/**
 * Bytes that somebody loaded, such as transformers.js in a browser: in memory while a graph is read and its first session is made,
 * in a Blob afterwards, which browsers keep outside the page's memory and on disk where it is large.
 */
import { AttuneError } from '../errors.ts';
import type { ByteSource } from './source.ts';
import type { ByteRange } from './wire.ts';

/** Below this a Blob saves nothing. */
const SMALL = 16 * 2 ** 20;

/** Bytes that somebody loaded, which need not stay in memory. */
export interface HeldSource extends ByteSource {
  /** From now on the bytes are in a Blob; only asynchronous reads are left. */
  letGo(): void;
}

/**
 * A source of bytes that are in memory now and may be let go later.
 *
 * @param data bytes, or a Blob, of which nothing is held
 * @param beside what a file of the model's folder is, by the name that the graph gives it
 */
export function heldSource(
  data: Uint8Array | Blob,
  name: string,
  beside?: (location: string) => Promise<HeldSource | undefined>,
): HeldSource {
  let whole = data;
  const others = new Map<string, Promise<HeldSource>>();
  const find = async (location: string): Promise<HeldSource> => {
    const other = await beside?.(location);
    if (other) return other;
    throw new AttuneError('EXTERNAL_DATA_MISSING', {
      at: name,
      found: `no file ${location}`,
      expected: 'the weights of the model',
      hint: 'Name the data files of the graph in config.json, transformers.js_config.use_external_data_format, or in session_options.externalData.',
    });
  };
  return {
    size: data instanceof Blob ? data.size : data.length,
    name,
    get whole() {
      return whole;
    },
    get readSync() {
      return whole instanceof Blob ? undefined : readFrom(whole);
    },
    async read({ offset, length }) {
      if (!(whole instanceof Blob)) return readFrom(whole)({ offset, length });
      return new Uint8Array(await whole.slice(offset, offset + length).arrayBuffer());
    },
    beside(location) {
      const other = others.get(location) ?? find(location);
      others.set(location, other);
      // Asked again next time.
      other.catch(() => others.delete(location));
      return other;
    },
    letGo() {
      if (!(whole instanceof Blob) && whole.length > SMALL) whole = new Blob([whole as BlobPart]);
      for (const other of others.values()) void other.then((one) => one.letGo()).catch(() => undefined);
    },
    close() {},
  };
}

const readFrom =
  (bytes: Uint8Array) =>
  ({ offset, length }: ByteRange): Uint8Array =>
    bytes.subarray(offset, offset + length);
