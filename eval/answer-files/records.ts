/** Files of captions, answers and questions as they are found: JSON Lines whatever the extension says, or a JSON array. */
import { closeSync, openSync, readSync } from 'node:fs';
import { AttuneError } from '../../errors.ts';
import { type DataRecord, place, readRecords } from '../data/records.ts';
import type { Source } from '../data/source.ts';

/** Files that the user names on the command line may lie anywhere. */
const NAMED = { path: '.', outside: true } as const;

/** @throws AttuneError DATA_FILE, DATA_EMPTY, DATA_FORMAT, DATA_SYNTAX, DATA_ENCODING */
export async function readAll(path: string): Promise<DataRecord[]> {
  const records: DataRecord[] = [];
  const format = /\.json$/i.test(path) && firstCharacter(path) !== '[' ? { format: 'jsonl' as const } : {};
  const source: Source = { file: path, quote: true, ...format };
  for await (const record of readRecords(source, NAMED)) records.push(record);
  return records;
}

/** POPE's question files are JSON Lines under the name .json. */
function firstCharacter(path: string): string | undefined {
  const head = Buffer.alloc(256);
  try {
    const file = openSync(path, 'r');
    const length = readSync(file, head, 0, head.length, 0);
    closeSync(file);
    return head.toString('utf8', 0, length).trimStart()[0];
  } catch {
    // The reader says what is wrong with the file.
    return undefined;
  }
}

/** The first of these fields that a record has. @throws AttuneError DATA_FIELD_MISSING */
export function fieldOf(record: DataRecord, names: readonly string[], type: 'text' | 'key'): string {
  for (const name of names) {
    const value = record.fields[name];
    if (typeof value === 'string' || (type === 'key' && typeof value === 'number')) return `${value}`;
  }
  throw new AttuneError('DATA_FIELD_MISSING', {
    at: place(record),
    found: `the fields ${Object.keys(record.fields).join(', ') || '(none)'}`,
    expected: `${type === 'text' ? 'text' : 'a name or a number'} in ${names.map((name) => `"${name}"`).join(' or ')}`,
  });
}

/** Records by their key. @throws AttuneError DATA_DUPLICATE_ID */
export function byKey<T extends { key: string; at: string }>(entries: readonly T[]): Map<string, T> {
  const found = new Map<string, T>();
  for (const entry of entries) {
    const first = found.get(entry.key);
    if (first) {
      throw new AttuneError('DATA_DUPLICATE_ID', {
        at: entry.at,
        found: `"${entry.key}", which ${first.at} has as well`,
        expected: 'one entry for each',
      });
    }
    found.set(entry.key, entry);
  }
  return found;
}
