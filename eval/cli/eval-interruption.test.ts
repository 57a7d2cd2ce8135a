/** attune eval cut short, as a process: whatever ends it, the next run ends with the report of an undisturbed one. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Bundle, bundle } from '../../testbed/bundle.ts';
import { cases } from '../../testbed/long.test-support.ts';
import { uniformIntegers } from '../statistics/random.ts';

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

let toy: Bundle;
/** How long an undisturbed run takes with a model that is slow enough to be disturbed, in ms. */
let duration: number;

beforeAll(async () => {
  writeFileSync(path('data.jsonl'), records.map((record) => `${JSON.stringify(record)}\n`).join(''));
  writeFileSync(path('task.json'), JSON.stringify(definition));
  toy = await bundle('eval/testing/eval-toy.ts', 'eval/testing/toy-worker.ts');
  const begin = performance.now();
  expect(spawnSync(process.execPath, start(SLOW, 'whole'), { cwd: repository }).status).toBe(0);
  duration = performance.now() - begin;
});
afterAll(() => {
  toy[Symbol.dispose]();
  rmSync(root, { recursive: true });
});

const out = (name: string) => ['--out', path(name)];
const report = (name: string) => readFileSync(join(path(name), 'report.json'), 'utf8');

/** One run to the end; its report is that of the run nothing happened to. */
function finish(name: string): void {
  expect(spawnSync(process.execPath, start(0, name), { cwd: repository }).status).toBe(0);
  expect(report(name)).toBe(report('whole'));
}

/** Milliseconds a call takes. */
const SLOW = 6;

const start = (delay: number, name: string) => [toy.program, `${delay}`, ...flags, ...out(name)] as const;
const child = (delay: number, name: string) =>
  spawn(process.execPath, start(delay, name), { cwd: repository, stdio: ['ignore', 'ignore', 'pipe'] });
const lines = (name: string) => {
  const file = join(path(name), 'rows.jsonl');
  return existsSync(file) ? readFileSync(file, 'utf8').split('\n').length - 1 : 0;
};
const reaching = async (name: string, count: number) => {
  while (lines(name) < count) await new Promise((resolve) => setTimeout(resolve, 5));
};

const KILLS = cases(12);

/**
 * Every other kill at a time drawn evenly over a whole run: while it starts, reads, scores, writes a row, writes the report. On a busy
 * machine most of these meet the start, so the others wait for a number of new rows. What was left behind is the next run's beginning; a
 * run that reaches its end is compared, and another folder begun.
 */
test(`kill -9 at ${KILLS} random points: the report of an undisturbed run, no row twice`, async () => {
  const at = uniformIntegers(`kills/${process.env.ATTUNE_SEED ?? 1}`);
  const reached = new Set<string>();
  let [kills, folder] = [0, 0];
  for (let begun = false; kills < KILLS || begun; ) {
    const name = `killed-${folder}`;
    const running = child(SLOW, name);
    const ended = new Promise<{ code: number | null; signal: string | null }>((resolve) =>
      running.once('exit', (code, signal) => resolve({ code, signal })),
    );
    const time = performance.now() + at(Math.ceil(duration * 1.1));
    const rows = lines(name) + 1 + at(60);
    const due = kills % 2 === 0 ? () => performance.now() > time : () => lines(name) >= rows;
    // Half-way the first folder is brought to its end, if none was before.
    const spared = kills >= KILLS || (folder === 0 && kills >= KILLS / 2);
    const killing = setInterval(() => !spared && due() && running.kill('SIGKILL'), 2);
    const { code, signal } = await ended;
    clearInterval(killing);
    if (signal === 'SIGKILL') {
      kills += 1;
      begun = true;
      reached.add(`${name} ${lines(name)}`);
      continue;
    }
    expect(code, name).toBe(0);
    expect(report(name), name).toBe(report('whole'));
    const keys = readFileSync(join(path(name), 'rows.jsonl'), 'utf8').match(/"key":"\w+"/g);
    expect([keys?.length, new Set(keys).size]).toEqual([80, 80]);
    folder += 1;
    begun = false;
  }
  // Runs were cut in many places, and more than one was brought to its end.
  expect(reached.size).toBeGreaterThan(KILLS / 4);
  expect(folder).toBeGreaterThan(1);
}, 600_000);

test('a disk that is full in the middle of a row: a typed error, and the next run goes on', async () => {
  // A limit on the size of files cuts a write as a full disk does: part of it is written, then an error.
  const limited = spawnSync(
    'bash',
    ['-c', 'ulimit -f 20; exec "$@"', 'bash', process.execPath, ...start(0, 'full')],
    { cwd: repository, encoding: 'utf8' },
  );
  expect(limited.status).toBe(1);
  expect(limited.stderr).toMatch(/JOURNAL_WRITE: at .*rows\.jsonl.*written so far is kept/);
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
