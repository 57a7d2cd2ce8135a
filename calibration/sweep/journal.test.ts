import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { openSweepJournal } from './journal.ts';

const folder = mkdtempSync(join(tmpdir(), 'attune-journal-'));
afterAll(() => rmSync(folder, { recursive: true }));

const one = { logLikelihoods: [-1.25, Number.NaN], entropy: 0.1 + 0.2 };
const two = { logLikelihoods: [-3], entropy: Number.NaN };

test('results come back exactly; a torn last line is cut off, once', () => {
  const path = join(folder, 'deep', 'sweep.jsonl');
  {
    using journal = openSweepJournal(path);
    journal.append([
      ['a', one],
      ['b', two],
    ]);
    expect(existsSync(`${path}.lock`)).toBe(true);
  }
  expect(existsSync(`${path}.lock`)).toBe(false);
  const whole = readFileSync(path);
  appendFileSync(path, '[["c",[-1');
  using journal = openSweepJournal(path);
  expect([journal.get('a'), journal.get('b'), journal.get('c')]).toEqual([one, two, undefined]);
  expect(readFileSync(path)).toEqual(whole);
});

test('a second process is kept out, a dead one is not', () => {
  const path = join(folder, 'locked.jsonl');
  writeFileSync(`${path}.lock`, `${process.ppid}\n`);
  expect(() => openSweepJournal(path)).toThrow(/JOURNAL_LOCKED.*process \d+/);
  writeFileSync(`${path}.lock`, '999999999\n');
  openSweepJournal(path)[Symbol.dispose]();
});

test('a file of something else is refused with its line', () => {
  const path = join(folder, 'other.jsonl');
  writeFileSync(path, '[["a",[1],2]]\n{"key":"row"}\n');
  expect(() => openSweepJournal(path)).toThrow(/JOURNAL_MALFORMED: at .*other\.jsonl:2/);
});
