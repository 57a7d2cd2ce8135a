/** Fields of another file by a key. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { readRecords } from './records.ts';

const folder = mkdtempSync(join(tmpdir(), 'attune-join-'));
afterAll(() => rmSync(folder, { recursive: true }));
const file = (name: string, text: string) => writeFileSync(join(folder, name), text);
async function records(join_: object) {
  const found = [];
  for await (const { fields } of readRecords({ file: 'a.jsonl', quote: true, join: join_ as never }, folder))
    found.push(fields);
  return found;
}

file('a.jsonl', '{"id":1,"text":"one"}\n{"id":2,"text":"two"}\n');

test('an array of records, whose own fields give way to the first file’s', async () => {
  file('b.json', '[{"id":2,"truth":"b","text":"other"},{"id":1,"truth":"a"}]');
  expect(await records({ file: 'b.json', on: 'id' })).toEqual([
    { id: 1, text: 'one', truth: 'a' },
    { id: 2, text: 'two', truth: 'b' },
  ]);
});

test('an object from key to value', async () => {
  file('c.json', '{"1":["x"],"2":[]}');
  expect((await records({ file: 'c.json', on: 'id', as: 'objects' })).map(({ objects }) => objects)).toEqual([
    ['x'],
    [],
  ]);
});

test.each([
  ['{"1":[]}', /DATA_JOIN.*a\.jsonl:2.*"2" in the field "id".*d\.json/],
  ['{"1":', /DATA_SYNTAX.*d\.json/],
  ['7', /DATA_SYNTAX.*d\.json.*7/],
])('%s is an error with its place', async (text, message) => {
  file('d.json', text);
  await expect(records({ file: 'd.json', on: 'id' })).rejects.toThrow(message);
});

test('a file that is not there', async () => {
  await expect(records({ file: 'none.json', on: 'id' })).rejects.toThrow(/DATA_FILE.*none\.json/);
});
