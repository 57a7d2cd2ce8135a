/**
 * A journal: results in an append-only file of lines, one write for each, so that a process killed at any point leaves whole
 * lines and at most one torn last one, which the next process cuts off. A lock keeps a second process out.
 */
import { AttuneError } from '../../errors.ts';
import { nodeModule } from '../../onnx/node.ts';
import { takeLock } from './lock.ts';

const fs = () => nodeModule('node:fs');
const paths = () => nodeModule('node:path');

/** What the lines of a journal are. */
export interface LineFormat<T> {
  /** undefined where the line is something else. */
  read(line: string): T | undefined;
  /** As errors call a line: "a row of an earlier run". */
  readonly expected: string;
}

export interface Journal<T> extends Disposable {
  /** What was in the file. */
  readonly entries: readonly T[];
  /** @throws AttuneError JOURNAL_WRITE (full disk, lost permissions); then every time, as the last line may be torn. */
  append(entry: T): void;
}

/**
 * Whoever disposes of it lets the next process in.
 * @throws AttuneError JOURNAL_LOCKED, JOURNAL_MALFORMED (a line of something else), JOURNAL_WRITE
 */
export function openJournal<T>(path: string, format: LineFormat<T>): Journal<T> {
  const unlock = writing(path, () => {
    fs().mkdirSync(paths().dirname(path), { recursive: true });
    return takeLock(`${path}.lock`);
  });
  let file: number | undefined;
  const close = () => {
    if (file !== undefined) fs().closeSync(file);
    unlock();
  };
  try {
    file = writing(path, () => fs().openSync(path, 'a+'));
    const entries = wholeEntries(path, file, format);
    let failed: unknown;
    return {
      entries,
      append(entry) {
        if (failed) throw failed;
        try {
          writing(path, () => writeWhole(file!, `${JSON.stringify(entry)}\n`));
        } catch (error) {
          failed = error;
          throw error;
        }
      },
      [Symbol.dispose]() {
        try {
          writing(path, () => fs().fsyncSync(file!));
        } finally {
          close();
        }
      },
    };
  } catch (error) {
    close();
    throw error;
  }
}

/** The entries of a journal that is not written to; a torn last line is none. @throws AttuneError JOURNAL_MALFORMED */
export function readJournal<T>(path: string, format: LineFormat<T>): T[] {
  const bytes = fs().readFileSync(path);
  return entriesOf(bytes.subarray(0, bytes.lastIndexOf(0x0a) + 1), path, format);
}

function writeWhole(file: number, text: string): void {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; ) at += fs().writeSync(file, bytes, at);
}

/** After cutting off a last line without an end. */
function wholeEntries<T>(path: string, file: number, format: LineFormat<T>): T[] {
  const bytes = fs().readFileSync(path);
  const whole = bytes.lastIndexOf(0x0a) + 1;
  if (whole < bytes.length) writing(path, () => fs().ftruncateSync(file, whole));
  return entriesOf(bytes.subarray(0, whole), path, format);
}

function entriesOf<T>(bytes: Buffer, path: string, format: LineFormat<T>): T[] {
  const lines = bytes.toString('utf8').split('\n').slice(0, -1);
  return lines.map((line, index) => {
    const entry = format.read(line);
    if (entry !== undefined) return entry;
    throw new AttuneError('JOURNAL_MALFORMED', {
      at: `${path}:${index + 1}`,
      found: line.slice(0, 80),
      expected: format.expected,
      hint: 'Give --out another name, or take this line out',
    });
  });
}

function writing<T>(path: string, action: () => T): T {
  try {
    return action();
  } catch (cause) {
    if (cause instanceof AttuneError) throw cause;
    throw new AttuneError('JOURNAL_WRITE', {
      at: path,
      found: cause instanceof Error ? cause.message : String(cause),
      hint: 'What was written so far is kept; run the same command again to go on',
      cause,
    });
  }
}
