/**
 * The row file: JSON Lines, append-only, one write for each row, so that a process killed at any point leaves whole rows
 * and at most one torn last line, which the next run cuts off. A lock file keeps a second process out.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { AttuneError } from '../../errors.ts';
import { type Row, rowSchema } from './row.ts';

export interface RowFile extends Disposable {
  /** Rows by key, those that were in the file included. */
  readonly rows: ReadonlyMap<string, Row>;
  /** @throws AttuneError RUN_WRITE (full disk, lost permissions). */
  append(row: Row): void;
}

/** @throws AttuneError RUN_LOCKED, RUN_ROWS (a line that is no row), RUN_WRITE. */
export function openRowFile(path: string): RowFile {
  const unlock = writing(path, () => {
    mkdirSync(dirname(path), { recursive: true });
    return lock(`${path}.lock`);
  });
  let file: number | undefined;
  const close = () => {
    if (file !== undefined) closeSync(file);
    unlock();
  };
  try {
    file = writing(path, () => openSync(path, 'a+'));
    const rows = wholeRows(path, file);
    return {
      rows,
      append(row) {
        if (rows.has(row.key)) return;
        writing(path, () => writeWhole(file as number, `${JSON.stringify(row)}\n`));
        rows.set(row.key, row);
      },
      [Symbol.dispose]() {
        writing(path, () => fsyncSync(file as number));
        close();
      },
    };
  } catch (error) {
    close();
    throw error;
  }
}

function writeWhole(file: number, text: string): void {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
}

/** The rows of the file, after cutting off a last line without an end. */
function wholeRows(path: string, file: number): Map<string, Row> {
  const bytes = readFileSync(path);
  const whole = bytes.lastIndexOf(0x0a) + 1;
  if (whole < bytes.length) writing(path, () => ftruncateSync(file, whole));
  return rowsIn(bytes.subarray(0, whole), path);
}

/** @throws AttuneError RUN_MISSING, RUN_ROWS */
export function readRows(path: string): Row[] {
  if (!existsSync(path)) {
    throw new AttuneError('RUN_MISSING', {
      at: path,
      found: 'no such file',
      expected: 'the rows of a run of attune eval',
      hint: 'Give the folder that was its --out',
    });
  }
  const bytes = readFileSync(path);
  return [...rowsIn(bytes.subarray(0, bytes.lastIndexOf(0x0a) + 1), path).values()];
}

function rowsIn(bytes: Buffer, path: string): Map<string, Row> {
  const lines = bytes.toString('utf8').split('\n').slice(0, -1);
  const rows = new Map<string, Row>();
  lines.forEach((line, index) => {
    const row = parse(line);
    if (!row) {
      throw new AttuneError('RUN_ROWS', {
        at: `${path}:${index + 1}`,
        found: line.slice(0, 80),
        expected: 'a row of an earlier run',
        hint: 'Give --out another folder, or take this line out',
      });
    }
    if (!rows.has(row.key)) rows.set(row.key, row);
  });
  return rows;
}

function parse(line: string): Row | undefined {
  try {
    return rowSchema.safeParse(JSON.parse(line)).data;
  } catch {
    return undefined;
  }
}

/** Creates the lock, taking over one whose process is gone. */
function lock(path: string): () => void {
  for (;;) {
    try {
      writeFileSync(path, `${process.pid}\n`, { flag: 'wx' });
      return () => rmSync(path, { force: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const owner = Number.parseInt(readFileSync(path, 'utf8'), 10);
    if (Number.isInteger(owner) && alive(owner)) {
      throw new AttuneError('RUN_LOCKED', {
        at: path,
        found: `the lock of process ${owner}, which is running`,
        expected: 'one process for each output folder',
        hint: 'Wait for it, or give --out another folder',
      });
    }
    rmSync(path, { force: true });
  }
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function writing<T>(path: string, action: () => T): T {
  try {
    return action();
  } catch (cause) {
    if (cause instanceof AttuneError) throw cause;
    throw new AttuneError('RUN_WRITE', {
      at: path,
      found: cause instanceof Error ? cause.message : String(cause),
      hint: 'Rows written so far are kept; run the same command again to go on',
      cause,
    });
  }
}
