/**
 * Results by content hash in an append-only file: one line for each batch, written at once, so that a process killed at
 * any point leaves whole batches and at most one torn last line, which the next run cuts off. A lock keeps a second
 * process out.
 */
import {
  closeSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { z } from 'zod';
import { AttuneError } from '../../errors.ts';
import type { Measurement } from './measure.ts';

const numberOrNull = z.number().nullable();
/** [key, log-likelihoods, entropy]; JSON has no NaN. */
const lineSchema = z.array(z.tuple([z.string(), z.array(numberOrNull), numberOrNull]));

export interface Journal extends Disposable {
  get(key: string): Measurement | undefined;
  /** @throws AttuneError JOURNAL_WRITE */
  append(results: readonly (readonly [key: string, result: Measurement])[]): void;
}

/** Results for the life of the process alone. */
export function memoryJournal(): Journal {
  const known = new Map<string, Measurement>();
  return {
    get: (key) => known.get(key),
    append: (results) => {
      for (const [key, result] of results) known.set(key, result);
    },
    [Symbol.dispose]() {},
  };
}

/** @throws AttuneError JOURNAL_LOCKED, JOURNAL_MALFORMED (a line of something else), JOURNAL_WRITE */
export function openJournal(path: string): Journal {
  const unlock = writing(path, () => {
    mkdirSync(dirname(path), { recursive: true });
    return lock(`${path}.lock`);
  });
  let file: number | undefined;
  const close = () => {
    if (file !== undefined) closeSync(file);
    unlock();
  };
  try {
    file = writing(path, () => openSync(path, 'a+'));
    const known = wholeLines(path, file);
    return {
      get: (key) => known.get(key),
      append(results) {
        const line = results.map(([key, { logLikelihoods, entropy }]) => [
          key,
          logLikelihoods.map(orNull),
          orNull(entropy),
        ]);
        writing(path, () => writeWhole(file!, `${JSON.stringify(line)}\n`));
        for (const [key, result] of results) known.set(key, result);
      },
      [Symbol.dispose]() {
        writing(path, () => fsyncSync(file!));
        close();
      },
    };
  } catch (error) {
    close();
    throw error;
  }
}

const orNull = (value: number): number | null => (Number.isFinite(value) ? value : null);
const orNaN = (value: number | null): number => value ?? Number.NaN;

function writeWhole(file: number, text: string): void {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
}

function wholeLines(path: string, file: number): Map<string, Measurement> {
  const bytes = readFileSync(path);
  const whole = bytes.lastIndexOf(0x0a) + 1;
  if (whole < bytes.length) writing(path, () => ftruncateSync(file, whole));
  const known = new Map<string, Measurement>();
  const lines = bytes.subarray(0, whole).toString('utf8').split('\n').slice(0, -1);
  lines.forEach((line, i) => {
    const entries = parse(line);
    if (!entries) {
      throw new AttuneError('JOURNAL_MALFORMED', {
        at: `${path}:${i + 1}`,
        found: line.slice(0, 80),
        expected: 'results of an earlier calibration',
        hint: 'Name another file, or remove this one.',
      });
    }
    for (const [key, logLikelihoods, entropy] of entries) {
      known.set(key, { logLikelihoods: logLikelihoods.map(orNaN), entropy: orNaN(entropy) });
    }
  });
  return known;
}

function parse(line: string): z.output<typeof lineSchema> | undefined {
  try {
    return lineSchema.safeParse(JSON.parse(line)).data;
  } catch {
    return undefined;
  }
}

/** Creates the lock, taking over one whose process is gone. */
function lock(path: string): () => void {
  for (;;) {
    try {
      writeFileSync(path, `${process.pid}\n`, { flag: 'wx' });
      return () => rmSync(path, { force: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const owner = Number.parseInt(readFileSync(path, 'utf8'), 10);
    if (Number.isInteger(owner) && alive(owner)) {
      throw new AttuneError('JOURNAL_LOCKED', {
        at: path,
        found: `the lock of process ${owner}, which is running`,
        expected: 'one process for each file of results',
        hint: 'Wait for it, or give --out another name.',
      });
    }
    rmSync(path, { force: true });
  }
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function writing<T>(path: string, action: () => T): T {
  try {
    return action();
  } catch (cause) {
    if (cause instanceof AttuneError) throw cause;
    throw new AttuneError('JOURNAL_WRITE', {
      at: path,
      found: (cause as Error).message,
      hint: 'Results written so far are kept; run the same command again to go on.',
      cause,
    });
  }
}
