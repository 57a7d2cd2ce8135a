/**
 * Lines of a local text file as a stream: UTF-8 only, checked line by line, `.gz` unpacked on the way.
 * Splits at LF alone (CRLF's CR goes to `end`), never at U+0085, U+2028 or a lone CR: data sets contain all of them.
 */
import { createReadStream } from 'node:fs';
import type { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { AttuneError } from '../../errors.ts';

export interface Line {
  /** From 1. */
  number: number;
  /** Without its line end. */
  text: string;
  /** What ended it; empty for a last line that lacks one. */
  end: '\n' | '\r\n' | '';
}

/** Receives the error of one bad record: throw to stop, return to go on without that record. */
export type Reject = (error: AttuneError) => void;

/** The strict policy: the first bad record ends the reading. */
export const rejectByThrowing: Reject = (error) => {
  throw error;
};

/** Bytes of the longest line that is read; docs/trust.md names it. */
export const LONGEST_LINE = 64 * 2 ** 20;

const LF = 0x0a;
const CR = 0x0d;
const BOM = [0xef, 0xbb, 0xbf];

/**
 * @param name what messages call the file; default its path.
 * @throws AttuneError DATA_FILE (missing, unreadable, broken gzip), DATA_ENCODING (through `reject`, per line),
 *   DATA_ENCODING (thrown, UTF-16 byte-order mark).
 */
export async function* readLines(
  path: string,
  reject: Reject = rejectByThrowing,
  name = path,
): AsyncGenerator<Line> {
  let number = 0;
  for await (const bytes of byteLines(path, name)) {
    number += 1;
    const content = number === 1 ? withoutMark(bytes, name) : bytes;
    const text = decode(content, `${name}:${number}`, reject);
    if (text === undefined) continue;
    if (!text.endsWith('\n')) yield { number, text, end: '' };
    else if (text.endsWith('\r\n')) yield { number, text: text.slice(0, -2), end: '\r\n' };
    else yield { number, text: text.slice(0, -1), end: '\n' };
  }
}

/** Pieces of the file up to and including each LF. */
async function* byteLines(path: string, name: string): AsyncGenerator<Uint8Array> {
  let rest: Buffer[] = [];
  let waiting = 0;
  try {
    for await (const chunk of byteStream(path) as AsyncIterable<Buffer>) {
      let start = 0;
      for (let end = chunk.indexOf(LF); end >= 0; end = chunk.indexOf(LF, start)) {
        const piece = chunk.subarray(start, end + 1);
        yield rest.length ? Buffer.concat([...rest, piece]) : piece;
        rest = [];
        waiting = 0;
        start = end + 1;
      }
      if (start < chunk.length) rest.push(chunk.subarray(start));
      waiting += chunk.length - start;
      if (waiting > LONGEST_LINE) throw tooLong(name);
    }
  } catch (cause) {
    if (cause instanceof AttuneError) throw cause;
    const found = cause instanceof Error ? cause.message : String(cause);
    throw new AttuneError('DATA_FILE', { at: name, found, expected: 'a readable file', cause });
  }
  if (rest.length) yield Buffer.concat(rest);
}

function tooLong(name: string): AttuneError {
  return new AttuneError('DATA_FILE', {
    at: name,
    found: `a line of more than ${LONGEST_LINE / 2 ** 20} MiB`,
    expected: 'records one a line',
    hint: 'Is it a text file, and is its format the one that was named?',
  });
}

function byteStream(path: string): Readable {
  const file = createReadStream(path);
  if (!path.endsWith('.gz')) return file;
  const unzipped = createGunzip();
  file.once('error', (error) => unzipped.destroy(error));
  return file.pipe(unzipped);
}

function withoutMark(bytes: Uint8Array, name: string): Uint8Array {
  const [first, second] = bytes;
  if ((first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff)) {
    throw new AttuneError('DATA_ENCODING', {
      at: `${name}:1`,
      found: 'a UTF-16 byte-order mark',
      expected: 'UTF-8',
      hint: 'Convert it, for example with iconv -f UTF-16 -t UTF-8',
    });
  }
  return BOM.every((byte, i) => bytes[i] === byte) ? bytes.subarray(BOM.length) : bytes;
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function decode(bytes: Uint8Array, at: string, reject: Reject): string | undefined {
  const problem = (found: string) =>
    reject(
      new AttuneError('DATA_ENCODING', {
        at,
        found,
        expected: 'UTF-8 text',
        hint: 'Convert the file, for example with iconv -f WINDOWS-1252 -t UTF-8',
      }),
    );
  if (bytes.includes(0)) {
    problem('a zero byte');
    return undefined;
  }
  try {
    return utf8.decode(bytes);
  } catch {
    problem(`bytes that are not UTF-8 (${sample(bytes)})`);
    return undefined;
  }
}

/** The first byte that cannot be ASCII and its neighbours, in hexadecimal. */
function sample(bytes: Uint8Array): string {
  const start = Math.max(
    0,
    bytes.findIndex((byte) => byte > 0x7f),
  );
  const hex = [...bytes.subarray(start, start + 4)].filter((byte) => byte !== LF && byte !== CR);
  return hex.map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
}
