import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { noCost } from '../scoring/language-model.ts';
import type { Row } from './row.ts';
import { openRowFile, readRows } from './row-file.ts';
import { baseline } from './setting.ts';

const root = mkdtempSync(join(tmpdir(), 'attune-rows-'));
afterAll(() => rmSync(root, { recursive: true }));

const row = (key: string): Row => ({
  key,
  model: 'm',
  task: 't',
  setting: 'baseline',
  specHash: 's',
  item: 'i',
  at: 'f:1',
  content: 'c',
  logLikelihoods: [-1.5, null],
  terms: { acc: [1, 1] },
  truncated: false,
  unparsable: false,
  cost: { ...noCost, ms: 0.5, residentBytes: 1e6 },
});

/** Opens, appends, closes; the keys that were there before. */
function session(path: string, ...keys: string[]): string[] {
  using file = openRowFile(path);
  const before = [...file.rows.keys()];
  for (const key of keys) file.append(row(key));
  return before;
}

test('rows come back; a key is written once', () => {
  const path = join(root, 'deep/er/a.jsonl');
  expect(session(path, 'a', 'b', 'a')).toEqual([]);
  expect(session(path, 'b', 'c')).toEqual(['a', 'b']);
  expect(
    readFileSync(path, 'utf8')
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line)),
  ).toEqual(['a', 'b', 'c'].map(row));
});

test('a last line torn at any byte is cut off and nothing else', () => {
  const whole = `${JSON.stringify(row('a'))}\n`;
  const second = JSON.stringify(row('b'));
  const path = join(root, 'torn.jsonl');
  for (let cut = 1; cut <= second.length; cut += 7) {
    writeFileSync(path, whole + second.slice(0, cut));
    expect(session(path, 'c')).toEqual(['a']);
    expect(session(path)).toEqual(['a', 'c']);
  }
});

test('a whole line that is no row is an error with its line, and lets go of the lock', () => {
  const path = join(root, 'bad.jsonl');
  session(path, 'a');
  appendFileSync(path, '{"key":"b"}\n');
  expect(() => openRowFile(path)).toThrow(
    expect.objectContaining({ code: 'JOURNAL_MALFORMED', at: `${path}:2` }),
  );
  expect(existsSync(`${path}.lock`)).toBe(false);
});

test('one process at a time; the lock of a dead one is taken over', () => {
  const path = join(root, 'lock.jsonl');
  {
    using _file = openRowFile(path);
    expect(() => openRowFile(path)).toThrow(
      expect.objectContaining({ code: 'JOURNAL_LOCKED', found: expect.stringContaining(`${process.pid}`) }),
    );
  }
  expect(existsSync(`${path}.lock`)).toBe(false);
  writeFileSync(`${path}.lock`, '999999999\n');
  expect(session(path, 'a')).toEqual([]);
});

test('a folder that cannot be written is a typed error', () => {
  writeFileSync(join(root, 'file'), '');
  expect(() => openRowFile(join(root, 'file/rows.jsonl'))).toThrow(
    expect.objectContaining({ code: 'JOURNAL_WRITE' }),
  );
});

test('a row of a version that called the baseline untouched is one of the baseline', () => {
  const path = join(root, 'old.jsonl');
  const old = { ...row('a'), setting: 'untouched', specHash: baseline.specHash };
  writeFileSync(path, `${JSON.stringify(old)}\n`);
  expect(readRows(path)).toEqual([{ ...old, setting: 'baseline' }]);
});
