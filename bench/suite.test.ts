import { expect, test } from 'vitest';
import { isAttuneError } from '../errors.ts';
import { exitCode, type Measurement, runSuite, type Suite } from './suite.ts';
import { SUITES } from './suites.ts';
import { reportText } from './table.ts';

function suiteOf(cases: Record<string, Measurement & { bound?: number; bounds?: 'ratio' | 'ms' | 'value' }>) {
  const closed: string[] = [];
  const suite: Suite = {
    name: 'example',
    summary: 'an example',
    cases: Object.entries(cases).map(([name, { bound, bounds, ...measured }]) => ({
      case: name,
      ...(bound === undefined ? {} : { bound }),
      ...(bounds === undefined ? {} : { bounds }),
      run: async () => measured,
    })),
    close: async () => {
      closed.push('closed');
    },
  };
  return { suite, closed };
}

test('a ratio at its bound passes, one above it is missed, and the exit code says so', async () => {
  const { suite, closed } = suiteOf({
    at: { baselineMs: 100, ms: 102, bound: 1.02 },
    free: { baselineMs: 1, ms: 50 },
  });
  const report = await runSuite(suite);
  expect(report.rows.map(({ ratio, pass }) => [ratio, pass])).toEqual([
    [1.02, true],
    [50, true],
  ]);
  expect(exitCode(report)).toBe(0);
  expect(closed).toEqual(['closed']);

  const missed = await runSuite(suiteOf({ above: { baselineMs: 100, ms: 103, bound: 1.02 } }).suite);
  expect(missed.rows[0]!.pass).toBe(false);
  expect(exitCode(missed)).toBe(2);
});

test('bounds on milliseconds and on values', async () => {
  const { suite } = suiteOf({
    fast: { ms: 140, bound: 150, bounds: 'ms' },
    slow: { ms: 160, bound: 150, bounds: 'ms' },
    small: { value: 0.1, bound: 1, bounds: 'value' },
    large: { value: 2, bound: 1, bounds: 'value' },
  });
  const { rows } = await runSuite(suite);
  expect(rows.map(({ pass }) => pass)).toEqual([true, false, true, false]);
});

test('a case that did not measure what its bound is on has missed it', async () => {
  const { rows } = await runSuite(suiteOf({ silent: { bound: 1.02 } }).suite);
  expect(rows[0]).toMatchObject({ ratio: null, pass: false });
});

test('the row contract: every field present, null where there is nothing', async () => {
  const report = await runSuite(suiteOf({ bare: { ms: 3 } }).suite);
  expect(JSON.parse(JSON.stringify(report.rows[0]))).toEqual({
    case: 'bare',
    baselineMs: null,
    ms: 3,
    ratio: null,
    value: null,
    bound: null,
    pass: true,
    note: '',
  });
  expect(Object.keys(report)).toEqual(['suite', 'clock', 'machine', 'rows']);
  expect(report.machine.onnxruntime).toMatch(/^\d+\.\d+\.\d+/);
  expect(report.machine.transformers).toMatch(/^\d+\.\d+\.\d+/);
});

test('cases can be chosen, and an unknown one names the nearest', async () => {
  const { suite } = suiteOf({ prefill: { ms: 1 }, decode: { ms: 2 } });
  const { rows } = await runSuite(suite, { cases: ['decode'] });
  expect(rows.map((row) => row.case)).toEqual(['decode']);
  const error = await runSuite(suite, { cases: ['decod'] }).catch((reason: unknown) => reason);
  expect(isAttuneError(error, 'CASE_UNKNOWN') && error.message).toContain('Nearest: decode');
});

test('what cases share is released when one throws', async () => {
  const { suite, closed } = suiteOf({ fine: { ms: 1 } });
  const broken = {
    ...suite,
    cases: [
      {
        case: 'broken',
        run: async () => {
          throw new RangeError('no session');
        },
      },
    ],
  };
  await expect(runSuite(broken)).rejects.toThrow('no session');
  expect(closed).toEqual(['closed']);
});

test('the table shows misses and leaves unused columns out', async () => {
  const { suite } = suiteOf({ slow: { ms: 160, bound: 150, bounds: 'ms', note: 'cold' } });
  const text = reportText(await runSuite(suite));
  expect(text).toMatch(/slow +160\.00 +≤ 150 +MISSED +cold/);
  expect(text).not.toContain('ratio');
});

test('names of suites and of cases within one are unique', () => {
  const unique = (names: readonly string[]) => expect(new Set(names).size).toBe(names.length);
  expect(SUITES.length).toBeGreaterThan(0);
  unique(SUITES.map(({ name }) => name));
  for (const { cases } of SUITES) unique(cases.map((one) => one.case));
});
