/** Parquet files that Apache Arrow wrote (fixtures/make.py), in every compression. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as zlib from 'node:zlib';
import { afterAll, expect, test } from 'vitest';
import { defineTask } from '../tasks/definition.ts';
import { loadItems } from '../tasks/items.ts';
import { type DataRecord, readRecords } from './records.ts';
import { sourceSchema } from './source.ts';

const fixtures = fileURLToPath(new URL('fixtures', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'attune-parquet-'));
afterAll(() => rmSync(folder, { recursive: true }));

async function read(file: string, root = fixtures): Promise<DataRecord[]> {
  const all: DataRecord[] = [];
  for await (const record of readRecords(sourceSchema.parse({ file }), root)) all.push(record);
  return all;
}

const rows = [
  ['one', ['a', 'b'], 0, 0.5, true, 'x'],
  ['zwei é 😀', ['c'], 1, -1.25, false, 'y'],
  [null, [], 2, 3, null, 'x'],
  ['four\nlines', ['d', 'e', 'f'], 3, null, true, 'y'],
  // More than a number holds
  ['five', ['g'], '9007199254740993', 1e300, false, 'x'],
].map(([question, choices, gold, score, right, kind], i) => ({
  ...{ question, choices, gold, score, right, kind },
  made: `2026-01-0${i + 1}T00:00:00.000Z`,
  meta: { by: 'ann', n: i },
}));

const zstd = 'zstdDecompressSync' in zlib;

test.each(['none', 'snappy', 'gzip', 'brotli', ...(zstd ? ['zstd'] : [])])(
  '%s: values as plain JSON, rows numbered over row groups',
  async (compression) => {
    const file = `${compression}.parquet`;
    expect(await read(file)).toEqual(rows.map((fields, i) => ({ fields, file, line: i + 1 })));
  },
);

test.each(['lz4', ...(zstd ? [] : ['zstd'])])(
  '%s is a typed error that says what to do',
  async (compression) => {
    await expect(read(`${compression}.parquet`)).rejects.toMatchObject({
      code: 'DATA_PARQUET',
      at: `${compression}.parquet:1`,
      hint: expect.stringContaining('compression="snappy"'),
    });
  },
);

test('no rows, no file, another file, a file cut short', async () => {
  await expect(read('empty.parquet')).rejects.toMatchObject({ code: 'DATA_EMPTY', at: 'empty.parquet' });
  await expect(read('nowhere.parquet')).rejects.toMatchObject({ code: 'DATA_FILE', at: 'nowhere.parquet' });
  const whole = readFileSync(join(fixtures, 'snappy.parquet'));
  writeFileSync(join(folder, 'text.parquet'), '{"a": 1}\n');
  writeFileSync(join(folder, 'short.parquet'), whole.subarray(0, whole.length - 20));
  // The end, which says where everything is, is whole; the head of the first page is not.
  const damaged = Buffer.from(whole);
  damaged.fill(0xff, 4, 40);
  writeFileSync(join(folder, 'damaged.parquet'), damaged);
  for (const file of ['text.parquet', 'short.parquet', 'damaged.parquet']) {
    await expect(read(file, folder), file).rejects.toMatchObject({
      code: 'DATA_PARQUET',
      at: expect.stringContaining(file),
    });
  }
});

test('a task reads it as it reads any file, with rows for lines', async () => {
  const task = defineTask({
    name: 'table',
    output: 'multiple_choice',
    source: { file: 'snappy.parquet' },
    fields: { question: 'string', choices: 'list', gold: 'integer' },
    prompt: '{{ question }}',
    choices: '{{ choices | tojson }}',
    target: '{{ gold }}',
    metrics: ['acc'],
  });
  const { items, bad } = await loadItems(task, { root: fixtures, skipBad: true });
  expect(items.map(({ at }) => at)).toEqual(['snappy.parquet:1']);
  expect(bad.map(({ code, at }) => [code, at])).toEqual([
    ['DATA_CHOICES', 'snappy.parquet:2'],
    ['DATA_FIELD_MISSING', 'snappy.parquet:3'],
    ['DATA_TARGET', 'snappy.parquet:4'],
    ['DATA_FIELD_TYPE', 'snappy.parquet:5'],
  ]);
});
