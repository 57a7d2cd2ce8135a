import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { describeMachine } from './machine.ts';
import { type Measured, measuredText, merged, type Origin, readMeasured, withTable } from './measured.ts';
import type { Report, Row } from './suite.ts';
import { SUITES } from './suites.ts';

const row = (name: string, ratio: number): Row => ({
  case: name,
  baselineMs: 100,
  ms: 100 * ratio,
  ratio,
  value: null,
  bound: 1.02,
  pass: ratio <= 1.02,
  note: '',
});
const report = (...rows: Row[]): Report => ({
  suite: 'example',
  clock: 'cpu',
  machine: describeMachine(),
  rows,
});
const origin = (date: string): Origin => ({
  date,
  commit: 'abc1234',
  command: 'attune bench example',
  clock: 'cpu',
  machine: describeMachine(),
});

test('the newest row of a case stays in its place, and origins without rows go', () => {
  const first = merged(undefined, report(row('a', 1), row('b', 1.1)), origin('2026-01-01'));
  const second = merged(first, report(row('b', 0.9), row('c', 1)), origin('2026-02-01'));
  expect(second.rows.map((one) => [one.case, one.ratio, second.origins[one.origin]!.date])).toEqual([
    ['a', 1, '2026-01-01'],
    ['b', 0.9, '2026-02-01'],
    ['c', 1, '2026-02-01'],
  ]);
  const third = merged(second, report(row('a', 1)), origin('2026-03-01'));
  expect(third.origins.map(({ date }) => date)).toEqual(['2026-02-01', '2026-03-01']);
});

test('a missed bound is said, and each row names what it was measured with', () => {
  const both = merged(
    merged(undefined, report(row('a', 1.1)), origin('2026-01-01')),
    report(row('b', 1)),
    origin('2026-02-01'),
  );
  const text = measuredText(both);
  expect(text).toContain('| a | 1.10× (100 → 110 ms) | 1.02 | **missed** | a |');
  expect(text).toContain('| b | 1.00× (100 → 100 ms) | 1.02 | met | b |');
  expect(text).toContain('b: 2026-02-01, `attune bench example` at abc1234');
});

const folder = join(import.meta.dirname, 'measured');
const suites = existsSync(folder) ? readdirSync(folder).map((name) => name.replace('.json', '')) : [];

test.each(suites)('docs/performance.md shows bench/measured/%s.json, whose cases exist', (name) => {
  const page = readFileSync(join(import.meta.dirname, '..', 'docs', 'performance.md'), 'utf8');
  const measured = readMeasured(name) as Measured;
  expect(withTable(page, measured)).toBe(page);
  const cases = new Set(SUITES.find((suite) => suite.name === name)?.cases.map((one) => one.case));
  for (const one of measured.rows) expect(cases, one.case).toContain(one.case);
});
