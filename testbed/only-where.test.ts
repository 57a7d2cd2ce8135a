/** What CI says of skipped tests. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';

const folder = mkdtempSync(join(tmpdir(), 'attune-count-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** .ci/count.mjs over a report with these tests. */
function counted(tests: readonly [name: string, status: string][], failedSteps = 0) {
  const path = join(folder, 'report.json');
  const of = (wanted: string) => tests.filter(([, status]) => status === wanted).length;
  const assertionResults = tests.map(([fullName, status]) => ({ fullName, status }));
  const report = {
    numPassedTests: of('passed'),
    numFailedTests: of('failed'),
    testResults: [{ name: 'a.test.ts', status: 'passed', assertionResults }],
  };
  writeFileSync(path, JSON.stringify(report));
  const program = fileURLToPath(new URL('../.ci/count.mjs', import.meta.url));
  const { stdout, status } = spawnSync(process.execPath, [program, path, `${failedSteps}`], {
    encoding: 'utf8',
  });
  return { lines: stdout.trimEnd().split('\n'), status };
}

test('skipped tests are counted by file and reason', () => {
  const because = (name: string): [string, string] => [`${name} [skipped: no such data] x`, 'skipped'];
  expect(counted([['a', 'passed'], because('b'), because('c')])).toEqual({
    lines: ['skipped: 2 of a.test.ts: no such data', '1 passed, 0 failed, 2 skipped'],
    status: 0,
  });
});

test('a skip without a reason, a failed test and a failed step fail', () => {
  const { lines, status } = counted(
    [
      ['a', 'passed'],
      ['b', 'pending'],
      ['c', 'failed'],
    ],
    1,
  );
  expect(lines).toEqual(['FAILED: skipped without a reason: b', '1 passed, 3 failed']);
  expect(status).toBe(1);
  expect(counted([]).status).toBe(1);
});
