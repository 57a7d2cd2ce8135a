import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import type { AttuneError } from '../../errors.ts';
import { readRecords, stem } from './records.ts';
import { type Source, sourceSchema } from './source.ts';

const root = mkdtempSync(join(tmpdir(), 'attune-data-'));
afterAll(() => rmSync(root, { recursive: true }));

const source = (definition: unknown): Source => sourceSchema.parse(definition);

async function collect<T>(values: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const value of values) all.push(value);
  return all;
}

async function read(name: string, content: string | Uint8Array, extra: object = {}) {
  writeFileSync(join(root, name), content);
  return collect(readRecords(source({ file: name, ...extra }), root));
}

/** All good records and the errors of the bad ones. */
async function readSkipping(name: string, content: string | Uint8Array, extra: object = {}) {
  writeFileSync(join(root, name), content);
  const bad: AttuneError[] = [];
  const records = await collect(
    readRecords(source({ file: name, ...extra }), root, (error) => bad.push(error)),
  );
  return { fields: records.map(({ fields }) => fields), bad: bad.map(({ code, at }) => ({ code, at })) };
}

const rows = [
  { text: 'plain', n: 1 },
  { text: 'comma, "quote"\nand\tmore  é', n: 2 },
];

test('jsonl: records with their lines, blank lines skipped, CRLF and byte-order mark taken off', async () => {
  const records = await read(
    'a.jsonl',
    `\uFEFF${JSON.stringify(rows[0])}\r\n\r\n${JSON.stringify(rows[1])}\r\n`,
  );
  expect(records).toEqual([
    { fields: rows[0], file: 'a.jsonl', line: 1 },
    { fields: rows[1], file: 'a.jsonl', line: 3 },
  ]);
});

test('gz: the same records, over many chunks and without a last line end', async () => {
  const many = Array.from({ length: 20_000 }, (_, n) => ({ n, text: `é${'x'.repeat(n % 50)}` }));
  const records = await read('b.jsonl.gz', gzipSync(many.map((row) => JSON.stringify(row)).join('\n')));
  expect(records.map(({ fields }) => fields)).toEqual(many);
  expect(records.at(-1)?.line).toBe(20_000);
});

test('json: any array of objects survives the walk, with the line of each element', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.dictionary(fc.string(), fc.jsonValue()), { minLength: 1 }),
      async (value) => {
        const text = JSON.stringify(value, null, 1);
        const records = await read('c.json', text);
        expect(records.map(({ fields }) => fields)).toEqual(JSON.parse(text));
        const lines = text.split('\n');
        for (const { line } of records) expect(lines[line - 1]?.trimStart()).toMatch(/^\{/);
      },
    ),
    { numRuns: 60 },
  );
});

test('json: select leads to an array, columns name arrays of values', async () => {
  const json = JSON.stringify({ note: ['}', { test: [] }], deep: { test: [['hi', 'greeting']] } }, null, 2);
  const records = await read('d.json', json, { select: 'deep.test', columns: ['text', 'intent'] });
  expect(records.map(({ fields }) => fields)).toEqual([{ text: 'hi', intent: 'greeting' }]);
});

test('csv: quoted commas, doubled quotes and line ends inside quotes come back exactly', async () => {
  const cell = fc.string({ unit: fc.constantFrom('a', 'é', ',', '"', '\n', '\r\n', ' ', '😀') });
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(cell, cell), { minLength: 1 }), async (cells) => {
      const quoted = (text: string) => `"${text.replaceAll('"', '""')}"`;
      const text = `left,right\r\n${cells.map((row) => row.map(quoted).join(',')).join('\r\n')}\r\n`;
      const records = await read('e.csv', text);
      expect(records.map(({ fields }) => [fields.left, fields.right])).toEqual(cells);
    }),
    { numRuns: 100 },
  );
});

test('csv: a record after one of several lines has its own line number', async () => {
  const records = await read('f.csv', 'a,b\n"1\n2",3\n4,5\n');
  expect(records.map(({ line }) => line)).toEqual([2, 4]);
});

test('tsv without quoting: quotes are characters, columns stand for the missing header', async () => {
  const records = await read('g.txt', 'He said "no\t0\n"Yes" she said\t1\n', {
    format: 'tsv',
    columns: ['sentence', 'label'],
    quote: false,
  });
  expect(records.map(({ fields }) => fields)).toEqual([
    { sentence: 'He said "no', label: '0' },
    { sentence: '"Yes" she said', label: '1' },
  ]);
});

test('csv of unescaped quotes: a quote ends its field only in front of a comma or the end of the row', async () => {
  const records = await read('mmlu.csv', 'q,A\n"only "yet" here","so "it" is."\n"as "x," or "y"",2\n', {
    quote: 'unescaped',
  });
  expect(records.map(({ fields }) => fields)).toEqual([
    { q: 'only "yet" here', A: 'so "it" is.' },
    { q: 'as "x," or "y"', A: '2' },
  ]);
});

test('txt: n columns are n lines a record, an empty line is content, U+0085 and U+2028 end no line', async () => {
  const records = await read('h.txt', 'c\u0085c\n\nd\u2028\ne\n', { columns: ['context', 'ending'] });
  expect(records.map(({ fields }) => fields)).toEqual([
    { context: 'c\u0085c', ending: '' },
    { context: 'd\u2028', ending: 'e' },
  ]);
});

test('document: the text unchanged, whole or in blocks of lines', async () => {
  const text = 'one\r\ntwo\n\nfour';
  expect((await read('i.txt', text, { format: 'document' })).map(({ fields }) => fields.text)).toEqual([
    text,
  ]);
  const blocks = await read('i.txt', text, { format: 'document', blockLines: 2 });
  expect(blocks.map(({ fields, line }) => [fields.text, line])).toEqual([
    ['one\r\ntwo\n', 1],
    ['\nfour', 3],
  ]);
});

test('aligned files give their line to the record; a short or long one is an error', async () => {
  const labels = (text: string) => writeFileSync(join(root, 'labels.lst'), text);
  const two = '{"q":1}\n{"q":2}\n';
  labels('0\n1\n');
  const records = await read('j.jsonl', two, { aligned: { label: 'labels.lst' } });
  expect(records.map(({ fields }) => fields)).toEqual([
    { q: 1, label: '0' },
    { q: 2, label: '1' },
  ]);
  for (const [text, at] of [
    ['0\n', 'j.jsonl:2'],
    ['0\n1\n1\n', 'j.jsonl:2'],
  ] as const) {
    labels(text);
    await expect(read('j.jsonl', two, { aligned: { label: 'labels.lst' } })).rejects.toMatchObject({
      code: 'DATA_ALIGNED',
      at,
    });
  }
});

test('aligned files belong to one file', () => {
  const definition = { file: ['a.jsonl', 'b.jsonl'], aligned: { label: 'labels.lst' } };
  expect(sourceSchema.safeParse(definition).error?.message).toContain('goes with one file');
});

test.each([
  ['bad JSON', 'k.jsonl', '{"a":1}\n{"a":\n{"a":3}\n', {}, 'DATA_SYNTAX', 'k.jsonl:2'],
  ['a value that is no object', 'k.jsonl', '{"a":1}\n[1]\n', {}, 'DATA_SYNTAX', 'k.jsonl:2'],
  [
    'latin-1 bytes',
    'l.jsonl',
    Buffer.from('{"a":1}\n{"a":"caf\xe9"}\n', 'latin1'),
    {},
    'DATA_ENCODING',
    'l.jsonl:2',
  ],
  ['UTF-16', 'l.txt', Buffer.from('\uFEFFab\n', 'utf16le'), {}, 'DATA_ENCODING', 'l.txt:1'],
  ['a zero byte', 'l.txt', 'a\nb\0\n', {}, 'DATA_ENCODING', 'l.txt:2'],
  ['an empty file', 'm.csv', '', {}, 'DATA_EMPTY', 'm.csv'],
  ['a header alone', 'm.csv', 'a,b\n', {}, 'DATA_EMPTY', 'm.csv'],
  ['a row too short', 'm.csv', 'a,b\n1,2\n3\n', {}, 'DATA_SYNTAX', 'm.csv:3'],
  ['a quote that never ends', 'm.csv', 'a,b\n1,2\n"3,4\n5,6\n', {}, 'DATA_SYNTAX', 'm.csv:3'],
  ['text after a closing quote', 'm.csv', 'a,b\n"1"2,3\n', {}, 'DATA_SYNTAX', 'm.csv:2'],
  ['a column twice', 'm.csv', 'a,a\n1,2\n', {}, 'DATA_HEADER', 'm.csv:1'],
  ['a group cut short', 'm.txt', '1\n2\n3\n', { columns: ['a', 'b'] }, 'DATA_SYNTAX', 'm.txt:3'],
  ['an object instead of an array', 'n.json', '{"a":\n[]}', {}, 'DATA_SELECT', 'n.json:1'],
  ['a wrong select', 'n.json', '{"a":\n[]}', { select: 'b' }, 'DATA_SELECT', 'n.json:2'],
  ['an array that never ends', 'n.json', '[\n{"a":1},\n{"a":2', {}, 'DATA_SYNTAX', 'n.json:3'],
  ['a bad element', 'n.json', '[\n{"a":1},\n{"a" 2}]', {}, 'DATA_SYNTAX', 'n.json:3[1]'],
  ['a comma too many', 'n.json', '[\n{"a":1},\n]', {}, 'DATA_SYNTAX', 'n.json:3'],
  ['broken gzip', 'o.jsonl.gz', 'not gzip', {}, 'DATA_FILE', 'o.jsonl.gz'],
  ['an unknown extension', 'p.xlsx', '', {}, 'DATA_FORMAT', 'p.xlsx'],
] as const)('%s is a typed error with file and line', async (_, name, content, extra, code, at) => {
  await expect(read(name, content, extra)).rejects.toMatchObject({ code, at });
});

test('a missing file is a typed error', async () => {
  const records = collect(readRecords(source({ file: 'nowhere.jsonl' }), root));
  await expect(records).rejects.toMatchObject({ code: 'DATA_FILE', at: 'nowhere.jsonl' });
});

test('skipping bad records keeps the good ones, in their lines, and reports each bad one once', async () => {
  expect(
    await readSkipping('q.jsonl', Buffer.from('{"a":1}\n{"a"\n{"a":"\xe9"}\n{"a":4}\n', 'latin1')),
  ).toEqual({
    fields: [{ a: 1 }, { a: 4 }],
    bad: [
      { code: 'DATA_SYNTAX', at: 'q.jsonl:2' },
      { code: 'DATA_ENCODING', at: 'q.jsonl:3' },
    ],
  });
});

test('a bad line spoils only its own group of lines and its own quoted row', async () => {
  const text = Buffer.from('c1\ne1\nc2\n\xff\nc3\ne3\n', 'latin1');
  expect(await readSkipping('r.txt', text, { columns: ['context', 'ending'] })).toEqual({
    fields: [
      { context: 'c1', ending: 'e1' },
      { context: 'c3', ending: 'e3' },
    ],
    bad: [
      { code: 'DATA_ENCODING', at: 'r.txt:4' },
      { code: 'DATA_SYNTAX', at: 'r.txt:3' },
    ],
  });
  const csv = Buffer.from('a,b\n"1\n\xff\n2",3\n4,5\n', 'latin1');
  expect((await readSkipping('r.csv', csv)).bad.map(({ at }) => at)).toContain('r.csv:2');
});

test('stem: the name without folder, extension and .gz', () => {
  expect(['a/kv.v1.jsonl.gz', 'mmlu/anatomy_test.csv'].map(stem)).toEqual(['kv.v1', 'anatomy_test']);
});

test('nested: the innermost elements, with the fields around them, each with a place of its own', async () => {
  const file = (last: unknown) =>
    JSON.stringify(
      {
        data: [
          { title: 'A', paragraphs: [{ context: 'c', qas: [{ q: 1 }, { q: 2 }] }] },
          { title: 'B', paragraphs: [{ context: 'd', qas: last }] },
        ],
      },
      null,
      1,
    );
  const nested = { select: 'data', nested: ['paragraphs', 'qas'] };
  const records = await read('nested.json', file([{ q: 3 }]), nested);
  expect(records.map(({ fields }) => fields)).toEqual([
    { title: 'A', context: 'c', q: 1 },
    { title: 'A', context: 'c', q: 2 },
    { title: 'B', context: 'd', q: 3 },
  ]);
  expect(new Set(records.map(({ line, element }) => `${line}[${element}]`)).size).toBe(3);

  const { fields, bad } = await readSkipping('broken.json', file(3), nested);
  expect([fields.length, bad]).toEqual([
    2,
    [{ code: 'DATA_SYNTAX', at: expect.stringMatching(/^broken\.json:\d+\[2\]$/) }],
  ]);
});
