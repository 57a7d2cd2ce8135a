/** One owner at a time, whoever dies when: in one process by hand, and raced by processes. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { bundle } from '../../testbed/bundle.ts';
import { cases } from '../../testbed/long.test-support.ts';
import { takeLock } from './lock.ts';
import { lifeOf, thisProcess } from './owner.ts';

const root = mkdtempSync(join(tmpdir(), 'attune-lock-'));
afterAll(() => rmSync(root, { recursive: true }));
const path = (name: string) => join(root, name);
/** An owner as it stands in a lock file, changed. */
const owner = (changes: object) => `${JSON.stringify({ ...thisProcess(), ...changes })}\n`;

test('a lock keeps its own process out as well, and leaves nothing when let go', () => {
  const unlock = takeLock(path('one'));
  expect(() => takeLock(path('one'))).toThrow(
    expect.objectContaining({
      code: 'JOURNAL_LOCKED',
      found: expect.stringContaining(`process ${process.pid}, which is running`),
    }),
  );
  unlock();
  expect(readdirSync(root)).toEqual([]);
});

test.each([
  ['of a process that is no more', owner({ pid: 999_999_999 })],
  ['of a process id that was given again', owner({ started: '1' })],
  ['of an older version, whose process is no more', '999999999\n'],
  ['cut off by a power failure', ''],
  ['with something else in it', '{"pid":'],
])('a lock %s is taken over, and one file is left', (_, text) => {
  writeFileSync(path('left'), text);
  const unlock = takeLock(path('left'));
  expect(JSON.parse(readFileSync(path('left'), 'utf8'))).toMatchObject({ pid: process.pid });
  expect(readdirSync(root)).toEqual(['left']);
  expect(() => takeLock(path('left'))).toThrow(/JOURNAL_LOCKED/);
  unlock();
  expect(readdirSync(root)).toEqual([]);
});

test('a lock of another machine or container stays, and the message says what to do', () => {
  const text = owner({ host: 'elsewhere', pid: 999_999_999 });
  writeFileSync(path('far'), text);
  expect(() => takeLock(path('far'))).toThrow(
    /of elsewhere, which cannot be seen from here.*remove the lock file/,
  );
  expect(readFileSync(path('far'), 'utf8')).toBe(text);
  rmSync(path('far'));
});

test('a lock of an older version whose process runs stays', () => {
  writeFileSync(path('old'), `${process.ppid}\n`);
  expect(() => takeLock(path('old'))).toThrow(/process \d+, which is running/);
  rmSync(path('old'));
});

test('one who died while taking over is succeeded, and its files go', () => {
  writeFileSync(path('chain'), owner({ pid: 999_999_999, token: 'first' }));
  writeFileSync(path('chain.after-first'), owner({ pid: 999_999_998, token: 'second' }));
  writeFileSync(path('chain.draft'), owner({ pid: 999_999_997, token: 'draft' }));
  const unlock = takeLock(path('chain'));
  expect(readdirSync(root)).toEqual(['chain']);
  unlock();
});

test('one who is taking over and runs keeps others out', () => {
  writeFileSync(path('chain'), owner({ pid: 999_999_999, token: 'first' }));
  writeFileSync(path('chain.after-first'), owner({ token: 'second' }));
  expect(() => takeLock(path('chain'))).toThrow(/JOURNAL_LOCKED/);
  rmSync(path('chain'));
  rmSync(path('chain.after-first'));
});

test('what a process says of itself is that it runs', () => {
  expect(lifeOf(thisProcess())).toBe('running');
  expect(lifeOf({ ...thisProcess(), boot: 'another' })).not.toBe('running');
});

/** How many times the lock changes hands. */
const RACES = cases(200);
const PROCESSES = 4;

/**
 * Processes race for one lock. Each owner marks a second file that only one may have, half of them leave their lock behind as if they
 * had died, and some are killed wherever they are; others take their place until the races are run.
 */
test(`${RACES} times the lock changes hands among ${PROCESSES} processes: one owner each time`, async () => {
  using bundled = await bundle('calibration/journal/race.test-support.ts');
  const lock = path('raced');
  const log = path('log');
  writeFileSync(log, '');
  const done = () => readFileSync(log, 'utf8').split('\n').length - 1;
  let kills = 0;
  const racer = async (index: number): Promise<void> => {
    while (done() < RACES) {
      const child = spawn(process.execPath, [bundled.program, lock, log, `${RACES}`], {
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      let stderr = '';
      child.stderr.on('data', (text) => {
        stderr += text;
      });
      const before = done();
      const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
      // The first racer is killed again and again, after it or others have got some way.
      const far = () => done() > before + RACES / 20;
      const killing = index === 0 && setInterval(() => far() && child.kill('SIGKILL'), 3);
      const code = await ended;
      if (killing) clearInterval(killing);
      if (code === null) kills += 1;
      else expect([code, stderr]).toEqual([0, '']);
    }
  };
  await Promise.all(Array.from({ length: PROCESSES }, (_, index) => racer(index)));
  const lines = readFileSync(log, 'utf8').split('\n').slice(0, -1);
  expect(lines.length).toBeGreaterThanOrEqual(RACES);
  expect(lines.filter((line) => !/^\d+ (lets go|leaves it)$/.test(line))).toEqual([]);
  expect(new Set(lines.map((line) => line.split(' ')[0])).size).toBeGreaterThan(1);
  expect(lines.filter((line) => line.endsWith('leaves it')).length).toBeGreaterThan(RACES / 4);
  console.log(`${lines.length} owners in a row, ${kills} killed`);
}, 600_000);
