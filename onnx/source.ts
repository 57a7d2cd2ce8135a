/**
 * Where model bytes come from: a file in Node, bytes or a Blob anywhere. Reading code is written once as a
 * generator that asks for ranges (`Scan`), and driven with synchronous or asynchronous reads.
 */
import { AttuneError } from '../errors.ts';
import { externalFile } from './external-file.ts';
import { nodeModule } from './node.ts';
import type { ByteRange } from './wire.ts';

/** A computation that asks for byte ranges and receives at least those bytes. */
export type Scan<T> = Generator<ByteRange, T, Uint8Array>;

/** Where the bytes of a model come from. */
export interface ByteSource {
  /** Number of bytes. */
  readonly size: number;
  /** What to call it in messages: a path, "bytes", "blob". */
  readonly name: string;
  /** Absolute path for files on disk; undefined elsewhere. */
  readonly path?: string;
  /** Bytes of a range. */
  read(range: ByteRange): Promise<Uint8Array>;
  /** Absent where only asynchronous reads exist (Blob). */
  readSync?(range: ByteRange): Uint8Array;
  /** All of it, without a copy; absent for files on disk. */
  readonly whole?: Uint8Array | Blob;
  /**
   * Another file of the model's folder, as its external data names it.
   * @throws AttuneError EXTERNAL_DATA_MISSING, and those of reading
   */
  beside?(location: string): Promise<ByteSource>;
  /** Closes what is open. */
  close(): void;
}

/** Bytes in memory. */
export function bytesSource(bytes: Uint8Array, name = 'bytes'): ByteSource {
  const readSync = ({ offset, length }: ByteRange) => bytes.subarray(offset, offset + length);
  return {
    size: bytes.length,
    name,
    whole: bytes,
    readSync,
    read: async (range) => readSync(range),
    close() {},
  };
}

/** A Blob, such as a file that was dropped on a page. */
export function blobSource(blob: Blob, name = 'blob'): ByteSource {
  return {
    size: blob.size,
    name,
    whole: blob,
    read: async ({ offset, length }) =>
      new Uint8Array(await blob.slice(offset, offset + length).arrayBuffer()),
    close() {},
  };
}

/**
 * A file on disk, in Node.
 *
 * @throws AttuneError FILE_NOT_FOUND, FILE_UNREADABLE
 */
export async function fileSource(path: string): Promise<ByteSource> {
  const fs = nodeModule('node:fs');
  const { resolve } = nodeModule('node:path');
  let fd: number;
  try {
    // Opening a pipe that nobody writes to would wait for ever.
    if (!fs.statSync(path).isFile()) throw new Error('not a regular file');
    fd = fs.openSync(path, 'r');
  } catch (cause) {
    const missing = (cause as NodeJS.ErrnoException).code === 'ENOENT';
    throw new AttuneError(missing ? 'FILE_NOT_FOUND' : 'FILE_UNREADABLE', {
      at: path,
      found: missing ? 'no such file' : (cause as Error).message,
      hint: 'Check the path; a model folder must hold its graph under onnx/.',
      cause,
    });
  }
  const stat = fs.fstatSync(fd);
  const readSync = ({ offset, length }: ByteRange) => {
    const buffer = new Uint8Array(Math.max(0, Math.min(length, stat.size - offset)));
    let done = 0;
    while (done < buffer.length) {
      const count = fs.readSync(fd, buffer, done, buffer.length - done, offset + done);
      if (count === 0) break;
      done += count;
    }
    return buffer.subarray(0, done);
  };
  return {
    size: stat.size,
    name: path,
    path: resolve(path),
    readSync,
    read: async (range) => readSync(range),
    beside: async (location) => fileSource(externalFile(path, location)),
    close: () => fs.closeSync(fd),
  };
}

/** Run a scan to its end against a source. */
export async function drive<T>(scan: Scan<T>, source: ByteSource): Promise<T> {
  let step = scan.next();
  while (!step.done) {
    step = scan.next(source.readSync ? source.readSync(step.value) : await source.read(step.value));
  }
  return step.value;
}
