/** attune eval cut short, as a process: whatever ends it, the next run ends with the report of an undisturbed one. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';

const repository = fileURLToPath(new URL('../..', import.meta.url));
const root = mkdtempSync(join(tmpdir(), 'attune-cut-'));
const path = (name: string) => join(root, name);

const records = Array.from({ length: 40 }, (_, i) => ({ q: `item ${i} is`, gold: i % 2 }));
const definition = {
  name: 'toy-task',
  output: 'multiple_choice',
  source: { file: 'data.jsonl' },
  fields: { q: 'string', gold: 'integer' },
  prompt: '{{ q }}',
  choices: ['even', 'odd'],
  target: '{{ gold }}',
  metrics: ['acc', 'acc_norm'],
};
const flags = [
  '--model',
  'toy',
  '--task',
  path('task.json'),
  '--intervention',
  'shift',
  '--resamples',
  '500',
];

beforeAll(() => {
  writeFileSync(path('data.jsonl'), records.map((record) => `${JSON.stringify(record)}\n`).join(''));
  writeFileSync(path('task.json'), JSON.stringify(definition));
  expect(spawnSync(process.execPath, start(0, 'whole'), { cwd: repository }).status).toBe(0);
});
afterAll(() => rmSync(root, { recursive: true }));

const out = (name: string) => ['--out', path(name)];
const report = (name: string) => readFileSync(join(path(name), 'report.json'), 'utf8');

/** One run to the end; its report is that of the run nothing happened to. */
function finish(name: string): void {
  expect(spawnSync(process.execPath, start(0, name), { cwd: repository }).status).toBe(0);
  expect(report(name)).toBe(report('whole'));
}

const start = (delay: number, name: string) =>
  ['--import', 'tsx', 'eval/testing/eval-toy.ts', `${delay}`, ...flags, ...out(name)] as const;
const child = (delay: number, name: string) =>
  spawn(process.execPath, start(delay, name), { cwd: repository, stdio: ['ignore', 'ignore', 'pipe'] });
const lines = (name: string) => {
  const file = join(path(name), 'rows.jsonl');
  return existsSync(file) ? readFileSync(file, 'utf8').split('\n').length - 1 : 0;
};
const reaching = async (name: string, count: number) => {
  while (lines(name) < count) await new Promise((resolve) => setTimeout(resolve, 5));
};

test('kill -9 at several points, then a last run: the report of an undisturbed run, no row twice', async () => {
  for (const [round, count] of [1, 14, 50, 70].entries()) {
    const running = child(15, 'killed');
    const ended = new Promise((resolve) => running.once('exit', (_, signal) => resolve(signal)));
    await reaching('killed', count);
    running.kill('SIGKILL');
    expect(await ended, `round ${round}`).toBe('SIGKILL');
  }
  expect(lines('killed')).toBeLessThan(80);
  expect(existsSync(join(path('killed'), 'report.json'))).toBe(false);
  finish('killed');
  const keys = readFileSync(join(path('killed'), 'rows.jsonl'), 'utf8').match(/"key":"\w+"/g);
  expect([keys?.length, new Set(keys).size]).toEqual([80, 80]);
});

test('a disk that is full in the middle of a row: a typed error, and the next run goes on', async () => {
  // A limit on the size of files cuts a write as a full disk does: part of it is written, then an error.
  const limited = spawnSync(
    'bash',
    ['-c', 'ulimit -f 20; exec "$@"', 'bash', process.execPath, ...start(0, 'full')],
    { cwd: repository, encoding: 'utf8' },
  );
  expect(limited.status).toBe(1);
  expect(limited.stderr).toMatch(/RUN_WRITE: at .*rows\.jsonl.*Rows written so far are kept/);
  expect(readFileSync(join(path('full'), 'rows.jsonl'))).toHaveLength(20 * 1024);
  expect(lines('full')).toBeGreaterThan(10);
  finish('full');
});

test('Ctrl-C ends after the row under way and says how to go on', async () => {
  const running = child(15, 'stopped');
  let stderr = '';
  running.stderr.on('data', (text) => {
    stderr += text;
  });
  const ended = new Promise((resolve) => running.once('close', resolve));
  await reaching('stopped', 5);
  running.kill('SIGINT');
  expect(await ended).toBe(1);
  expect(stderr).toMatch(/RUN_INTERRUPTED: found \d+ of 80 rows done and kept\. Run the same command again/);
  expect(existsSync(join(path('stopped'), 'rows.jsonl.lock'))).toBe(false);
  finish('stopped');
});
