/**
 * Records of a source, one at a time, in file order, whatever the format.
 *
 * A record that cannot be read goes to `reject`, which decides whether the reading ends. Three things always end it,
 * because nothing after them can be trusted: a missing or empty file, a header that is not one, JSON whose brackets fail.
 */
import { basename } from 'node:path';
import { AttuneError } from '../../errors.ts';
import { readAligned } from './aligned.ts';
import { contained, type DataFolder } from './contained.ts';
import { delimitedRows } from './delimited.ts';
import { readJoined } from './joined.ts';
import { jsonElements } from './json-elements.ts';
import { type Line, type Reject, readLines, rejectByThrowing } from './lines.ts';
import { withOthers } from './others.ts';
import { parquetRows } from './parquet.ts';
import { type Format, formatOf, type Source } from './source.ts';

export interface DataRecord {
  fields: Record<string, unknown>;
  /** As the source names it. */
  file: string;
  /** First line of the record, from 1. */
  line: number;
  /** json: index in the array, since several elements may lie on one line. */
  element?: number;
}

/** `file:line` of a record, for json `file:line[element]`: different for every record of a source. */
export const place = ({ file, line, element }: Pick<DataRecord, 'file' | 'line' | 'element'>): string =>
  `${file}:${line}${element === undefined ? '' : `[${element}]`}`;

type Found = Omit<DataRecord, 'file'>;
type Reader = (path: string, file: string, source: Source, reject: Reject) => AsyncGenerator<Found>;

/**
 * @param root folder below which the source's relative paths lie.
 * @throws AttuneError DATA_FILE, DATA_EMPTY, DATA_HEADER, DATA_SELECT, DATA_FORMAT, DATA_PARQUET; through `reject`
 *   DATA_ENCODING, DATA_SYNTAX, DATA_ALIGNED, DATA_JOIN. DATA_OTHERS.
 */
export function readRecords(
  source: Source,
  root: DataFolder,
  reject: Reject = rejectByThrowing,
): AsyncGenerator<DataRecord> {
  const records = ownRecords(source, root, reject);
  return source.others ? withOthers(records, source.others, place) : records;
}

async function* ownRecords(source: Source, root: DataFolder, reject: Reject): AsyncGenerator<DataRecord> {
  const aligned = await readAligned(source.aligned ?? {}, root);
  const joined = readJoined(source.join, root);
  for (const file of [source.file].flat()) {
    let good = 0;
    let rejected = 0;
    let last = 0;
    const counting: Reject = (error) => {
      rejected += 1;
      reject(error);
    };
    const path = contained(file, root, 'source');
    const reader = READERS[formatOf(file, source.format)];
    for await (const found of reader(path, file, source, counting)) {
      const { fields, line } = found;
      const partners = aligned.at(line, file, counting);
      const other = joined.of(fields, place({ ...found, file }), counting);
      if (!partners || !other) continue;
      good += 1;
      last = line;
      yield { ...found, fields: { ...other, ...fields, ...partners }, file };
    }
    if (good + rejected === 0) {
      throw new AttuneError('DATA_EMPTY', { at: file, found: 'no record', expected: 'at least one' });
    }
    if (rejected === 0) aligned.end(last, file);
  }
}

/** Name of a file without folder and extensions: what templates see as `source`. */
export const stem = (file: string): string => basename(file).replace(/\.[^.]+(\.gz)?$/, '');

const READERS: Record<Format, Reader> = {
  jsonl: async function* (path, file, source, reject) {
    for await (const { text, number: line } of readLines(path, reject, file)) {
      if (text.trim() === '') continue;
      const fields = recordFields(text, place({ file, line }), source.columns, reject);
      if (fields) yield { fields, line };
    }
  },

  json: async function* (path, file, source, reject) {
    const lines: string[] = [];
    for await (const { text, end } of readLines(path, rejectByThrowing, file)) lines.push(text, end);
    let element = 0;
    for (const { text, line } of jsonElements(
      lines.join(''),
      file,
      source.select,
      source.nested !== undefined,
    )) {
      const outer = recordFields(text, place({ file, line, element }), source.columns, reject);
      if (!outer) {
        element += 1;
        continue;
      }
      for (const fields of innermost(outer, source.nested ?? [])) {
        if (fields instanceof AttuneError) {
          reject(new AttuneError('DATA_SYNTAX', { ...fields, at: place({ file, line, element }) }));
        } else {
          yield { fields, line, element };
        }
        element += 1;
      }
    }
  },

  parquet: (path, file) => parquetRows(path, file),

  csv: (path, file, source, reject) => table(path, file, source, ',', reject),

  tsv: (path, file, source, reject) => table(path, file, source, '\t', reject),

  /** Every line, or every n lines, is a record; blank lines are content. */
  txt: async function* (path, file, { columns = ['text'] }, reject) {
    const n = columns.length;
    let group: Line[] = [];
    const finish = (): Found | undefined => {
      const [first] = group;
      const whole = group.length === n && group.every((line, i) => (line.number - 1) % n === i);
      if (first && !whole) {
        reject(
          syntax(
            file,
            first.number,
            `${group.length} of the lines of a record`,
            `${n}: ${columns.join(', ')}`,
          ),
        );
      }
      const fields = Object.fromEntries(group.map((line, i) => [columns[i] as string, line.text]));
      group = [];
      return first && whole ? { fields, line: first.number } : undefined;
    };
    for await (const line of readLines(path, reject, file)) {
      if ((line.number - 1) % n === 0 || group.length === n) {
        const found = finish();
        if (found) yield found;
      }
      group.push(line);
    }
    const last = finish();
    if (last) yield last;
  },

  document: async function* (path, file, { blockLines = Number.POSITIVE_INFINITY }, reject) {
    let block: string[] = [];
    let start = 1;
    for await (const { text, end, number } of readLines(path, reject, file)) {
      block.push(text, end);
      if (number - start + 1 < blockLines) continue;
      yield { fields: { text: block.join('') }, line: start };
      block = [];
      start = number + 1;
    }
    if (block.length) yield { fields: { text: block.join('') }, line: start };
  },
};

/** The objects at the end of a chain of arrays, each with the fields of those around it; an error where one is missing. */
function* innermost(
  fields: Record<string, unknown>,
  [key, ...rest]: readonly string[],
): Generator<Record<string, unknown> | AttuneError> {
  if (key === undefined) {
    yield fields;
    return;
  }
  const { [key]: list, ...around } = fields;
  const objects = Array.isArray(list) ? list : [undefined];
  for (const object of objects as unknown[]) {
    if (object !== null && typeof object === 'object' && !Array.isArray(object)) {
      yield* innermost({ ...around, ...object }, rest);
    } else {
      const found = `${JSON.stringify(object ?? list ?? null).slice(0, 60)} under "${key}"`;
      yield new AttuneError('DATA_SYNTAX', { found, expected: 'an array of objects' });
    }
  }
}

async function* table(
  path: string,
  file: string,
  { columns, quote }: Source,
  separator: ',' | '\t',
  reject: Reject,
): AsyncGenerator<Found> {
  let names = columns;
  for await (const { cells, line } of delimitedRows(
    readLines(path, reject, file),
    file,
    { separator, quote },
    reject,
  )) {
    if (!names) {
      names = header(cells, file, line);
    } else if (cells.length !== names.length) {
      reject(syntax(file, line, `${cells.length} cells`, `${names.length}: ${names.join(', ')}`));
    } else {
      yield { fields: Object.fromEntries(names.map((name, i) => [name, cells[i]])), line };
    }
  }
}

function header(cells: string[], file: string, line: number): string[] {
  const twice = cells.find((cell, i) => cells.indexOf(cell) !== i);
  if (twice !== undefined || cells.includes('')) {
    throw new AttuneError('DATA_HEADER', {
      at: `${file}:${line}`,
      found: twice === undefined ? 'a column without a name' : `the column "${twice}" twice`,
      expected: 'a header of different names',
      hint: 'If the file has no header, name its columns with "columns" in the task\'s source',
    });
  }
  return cells;
}

function recordFields(
  text: string,
  at: string,
  columns: string[] | undefined,
  reject: Reject,
): Record<string, unknown> | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    const found = `${text.length > 60 ? `${text.slice(0, 60)}…` : text} (${(cause as Error).message})`;
    reject(new AttuneError('DATA_SYNTAX', { at, found, expected: 'JSON', cause }));
    return undefined;
  }
  if (Array.isArray(value) && columns && value.length === columns.length) {
    return Object.fromEntries(columns.map((name, i) => [name, (value as unknown[])[i]]));
  }
  if (value !== null && typeof value === 'object' && !Array.isArray(value)) {
    return value as Record<string, unknown>;
  }
  const found = Array.isArray(value) ? `an array of ${value.length}` : `${text.slice(0, 60)}`;
  const expected = columns ? `an object or an array of ${columns.length}` : 'an object';
  reject(new AttuneError('DATA_SYNTAX', { at, found, expected }));
  return undefined;
}

const syntax = (file: string, line: number, found: string, expected: string): AttuneError =>
  new AttuneError('DATA_SYNTAX', { at: `${file}:${line}`, found, expected });
