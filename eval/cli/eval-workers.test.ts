/** Worker processes: the same rows and report as one process, whatever dies. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Bundle, bundle } from '../../testbed/bundle.ts';
import { onlyWhere } from '../../testbed/only-where.test-support.ts';
import { contentHash } from '../runner/content-hash.ts';
import { attuneProcess } from '../testing/attune-process.ts';

const repository = fileURLToPath(new URL('../..', import.meta.url));
const root = mkdtempSync(join(tmpdir(), 'attune-workers-'));
let toy: Bundle;
afterAll(() => {
  toy[Symbol.dispose]();
  rmSync(root, { recursive: true });
});
const path = (name: string) => join(root, name);

const start = (name: string, more: readonly string[] = []) => [
  ...[toy.program, '0', '--model', 'toy', '--task', 'worlds-topic'],
  ...['--limit', '24', '--intervention', 'shift', '--resamples', '200', '--out', path(name), ...more],
];
const run = (name: string, more: readonly string[] = [], env: NodeJS.ProcessEnv = {}) =>
  spawnSync(process.execPath, start(name, more), {
    cwd: repository,
    encoding: 'utf8',
    env: { ...process.env, ...env },
  });
const report = (name: string) => readFileSync(join(path(name), 'report.json'), 'utf8');
const rows = (name: string) =>
  readFileSync(join(path(name), 'rows.jsonl'), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));

beforeAll(async () => {
  toy = await bundle('eval/testing/eval-toy.ts', 'eval/testing/toy-worker.ts');
  expect(run('whole').stderr).not.toContain('Error');
});

test('three workers give the report of one process, and a row for each item and setting', () => {
  expect(run('three', ['--workers', '3']).status).toBe(0);
  expect(report('three')).toBe(report('whole'));
  const found = rows('three');
  expect(found.map(({ key }) => key).sort()).toEqual(
    rows('whole')
      .map(({ key }) => key)
      .sort(),
  );
  // The settings of an item follow each other, in whatever order the items come.
  const labels = (item: string) => found.filter((row) => row.item === item).map(({ setting }) => setting);
  for (const { item } of found) expect(labels(item)).toEqual(['baseline', 'shift']);
});

test('a worker that dies ends the run with an error; the next one goes on', () => {
  const ended = run('death', ['--workers', '2'], { TOY_DEATH: '7' });
  expect(ended.status).toBe(1);
  expect(ended.stderr).toMatch(/WORKER_DIED: found worker \d+ ended by SIGKILL.*run the same command again/);
  expect(rows('death').length).toBeGreaterThanOrEqual(7);
  expect(rows('death').length).toBeLessThan(48);
  expect(run('death', ['--workers', '2']).status).toBe(0);
  expect(report('death')).toBe(report('whole'));
});

const listing = onlyWhere(
  process.platform === 'linux',
  'this system does not say which processes a process has started',
);

listing.test('kill −9 of the runner leaves no worker behind, and what was written is used', async () => {
  const running = spawn(process.execPath, start('killed', ['--workers', '2']), {
    cwd: repository,
    stdio: 'ignore',
    env: { ...process.env, TOY_DELAY: '20' },
  });
  const ended = new Promise((resolve) => running.once('exit', resolve));
  const file = join(path('killed'), 'rows.jsonl');
  while (!existsSync(file) || readFileSync(file, 'utf8').split('\n').length < 10) await pause();
  const children = childrenOf(running.pid!);
  expect(children).toHaveLength(2);
  running.kill('SIGKILL');
  await ended;
  while (children.some(alive)) await pause();
  expect(run('killed', ['--workers', '2']).status).toBe(0);
  expect(report('killed')).toBe(report('whole'));
});

test.each([
  ['an error of the model comes over whole', ['--intervention', 'unknown'], /INTERVENTION_UNKNOWN/],
  ['no worker is refused', ['--workers', '0'], /ARGUMENT_INVALID: at --workers/],
])('%s', (_, more, message) => {
  expect(run('bad', ['--workers', '2', ...more]).stderr).toMatch(message);
});

test('a model of the testbed: the same report from two processes of one thread as from one of two', async () => {
  using attune = await attuneProcess();
  const argv = (name: string, more: readonly string[]) => [
    ...['eval', '--model', 'testbed/models/worlds-lm', '--task', 'worlds-documents', '--limit', '5'],
    ...['--intervention', 'zerotuning', '--params', '{"gamma":1.5}'],
    ...['--resamples', '100', '--out', path(name), ...more],
  ];
  const real = (name: string, more: readonly string[]) => attune.run(...argv(name, more));
  expect(await real('one', ['--threads', '2'])).toMatchObject({ code: 0 });
  expect(await real('two', ['--workers', '2'])).toMatchObject({ code: 0 });
  expect(report('two')).toBe(report('one'));
  const content = (name: string) =>
    rows(name)
      .map(({ cost: _, ...row }) => contentHash(row))
      .sort();
  expect(content('two')).toEqual(content('one'));
});

const pause = () => new Promise((resolve) => setTimeout(resolve, 20));

const childrenOf = (pid: number): number[] =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number);

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
