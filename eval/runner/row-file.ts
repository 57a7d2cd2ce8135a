/** The row file: the journal of a run, a line for each item under a setting. */
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, renameSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { type LineFormat, openJournal, readJournal } from '../../calibration/journal/journal.ts';
import { takeLock } from '../../calibration/journal/lock.ts';
import { AttuneError } from '../../errors.ts';
import { type Row, rowSchema } from './row.ts';
import { baseline } from './setting.ts';

export interface RowFile extends Disposable {
  /** Rows by key, those that were in the file included. */
  readonly rows: ReadonlyMap<string, Row>;
  /** A key is written once. @throws AttuneError JOURNAL_WRITE */
  append(row: Row): void;
}

const format: LineFormat<Row> = {
  read(line) {
    try {
      const row = rowSchema.safeParse(JSON.parse(line)).data;
      // Older versions called the setting without interventions "untouched".
      return row?.specHash === baseline.specHash ? { ...row, setting: baseline.label } : row;
    } catch {
      return undefined;
    }
  },
  expected: 'a row of an earlier run',
};

/** @throws AttuneError JOURNAL_LOCKED, JOURNAL_MALFORMED (a line that is no row), JOURNAL_WRITE. */
export function openRowFile(path: string): RowFile {
  const journal = openJournal(path, format);
  const rows = byKey(journal.entries);
  return {
    rows,
    append(row) {
      if (rows.has(row.key)) return;
      journal.append(row);
      rows.set(row.key, row);
    },
    [Symbol.dispose]: () => journal[Symbol.dispose](),
  };
}

/** Rows of a run that leaves nothing behind. */
export function rowsInMemory(): RowFile {
  const rows = new Map<string, Row>();
  return {
    rows,
    append(row) {
      if (!rows.has(row.key)) rows.set(row.key, row);
    },
    [Symbol.dispose]: () => {},
  };
}

/** @throws AttuneError RUN_MISSING, JOURNAL_MALFORMED */
export function readRows(path: string): Row[] {
  if (!existsSync(path)) {
    throw new AttuneError('RUN_MISSING', {
      at: path,
      found: 'no such file',
      expected: 'the rows of a run of attune eval',
      hint: 'Give the folder that was its --out',
    });
  }
  return [...byKey(readJournal(path, format)).values()];
}

/** Rows of a whole run, whatever was there. @throws AttuneError JOURNAL_LOCKED, RUN_WRITE */
export function writeRows(path: string, rows: Iterable<Row>): void {
  mkdirSync(dirname(path), { recursive: true });
  const unlock = takeLock(`${path}.lock`);
  try {
    const file = openSync(`${path}.partial`, 'w');
    try {
      for (const row of rows) writeSync(file, `${JSON.stringify(row)}\n`);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(`${path}.partial`, path);
  } catch (cause) {
    throw new AttuneError('RUN_WRITE', { at: path, found: (cause as Error).message, cause });
  } finally {
    unlock();
  }
}

/** The first row of each key. */
function byKey(rows: readonly Row[]): Map<string, Row> {
  const found = new Map<string, Row>();
  for (const row of rows) if (!found.has(row.key)) found.set(row.key, row);
  return found;
}
