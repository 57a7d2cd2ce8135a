/** Fields kept in another file and found by a key (AMBER's annotations, the objects of COCO images). */
import { z } from 'zod';
import { AttuneError } from '../../errors.ts';
import { contained, type DataFolder } from './contained.ts';
import { readJson } from './json-file.ts';
import { type Reject, rejectByThrowing } from './lines.ts';

export const joinSchema = z.strictObject({
  file: z.string().min(1).describe('JSON: an array of records, or an object from key to value'),
  on: z.string().min(1).describe('the field that both have; in an object its keys'),
  as: z.string().min(1).optional().describe('object: the field that gets the value'),
});

export interface Joined {
  /** The other file's fields for a record; undefined, after `reject`, where it has none. */
  of(fields: Record<string, unknown>, at: string, reject?: Reject): Record<string, unknown> | undefined;
}

/** @throws AttuneError DATA_FILE, DATA_SYNTAX */
export function readJoined(join_: z.output<typeof joinSchema> | undefined, root: DataFolder): Joined {
  if (!join_) return { of: () => ({}) };
  const { file, on, as = 'value' } = join_;
  const path = contained(file, root, 'join');
  const json = arrayOrObject(path, file);
  const entries: [string, Record<string, unknown>][] = Array.isArray(json)
    ? json.map((record) => [
        `${(record as Record<string, unknown>)?.[on]}`,
        record as Record<string, unknown>,
      ])
    : Object.entries(json as object).map(([key, value]) => [key, { [as]: value }]);
  const byKey = new Map(entries);
  return {
    of(fields, at, reject = rejectByThrowing) {
      const found = byKey.get(`${fields[on]}`);
      if (found) return found;
      reject(
        new AttuneError('DATA_JOIN', {
          at,
          found: `"${fields[on]}" in the field "${on}"`,
          expected: `a key of ${file}`,
        }),
      );
      return undefined;
    },
  };
}

/** @throws AttuneError DATA_FILE, DATA_SYNTAX */
function arrayOrObject(path: string, name: string): object {
  const json = readJson(path, name);
  if (json !== null && typeof json === 'object') return json;
  throw new AttuneError('DATA_SYNTAX', {
    at: name,
    found: JSON.stringify(json).slice(0, 60),
    expected: 'an array or an object',
  });
}
