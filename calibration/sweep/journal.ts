/** Measurements by content hash: for the life of a process, or in a journal file from which the next process goes on. */
import { z } from 'zod';
import { type LineFormat, openJournal } from '../journal/journal.ts';
import type { Measurement } from './measure.ts';

const numberOrNull = z.number().nullable();
/** [key, log-likelihoods, entropy]; JSON has no NaN. */
const lineSchema = z.array(z.tuple([z.string(), z.array(numberOrNull), numberOrNull]));

/** Measurements by content hash, so that none is made twice. */
export interface SweepJournal extends Disposable {
  /** The measurement of a key, where it was made. */
  get(key: string): Measurement | undefined;
  /** What belongs together is kept together or not at all. @throws AttuneError JOURNAL_WRITE */
  append(results: readonly (readonly [key: string, result: Measurement])[]): void;
}

/** Results for the life of the process alone. */
export function memoryJournal(): SweepJournal {
  const known = new Map<string, Measurement>();
  return {
    get: (key) => known.get(key),
    append: (results) => {
      for (const [key, result] of results) known.set(key, result);
    },
    [Symbol.dispose]() {},
  };
}

const format: LineFormat<z.output<typeof lineSchema>> = {
  read(line) {
    try {
      return lineSchema.safeParse(JSON.parse(line)).data;
    } catch {
      return undefined;
    }
  },
  expected: 'results of an earlier calibration',
};

/**
 * A journal in a file, from which the next process goes on.
 *
 * @example using journal = openSweepJournal('copa.journal');
 *
 * @throws AttuneError JOURNAL_LOCKED, JOURNAL_MALFORMED (a line of something else), JOURNAL_WRITE
 */
export function openSweepJournal(path: string): SweepJournal {
  const journal = openJournal(path, format);
  const known = new Map<string, Measurement>();
  for (const [key, logLikelihoods, entropy] of journal.entries.flat()) {
    known.set(key, { logLikelihoods: logLikelihoods.map(orNaN), entropy: orNaN(entropy) });
  }
  return {
    get: (key) => known.get(key),
    append(results) {
      journal.append(
        results.map(([key, { logLikelihoods, entropy }]) => [
          key,
          logLikelihoods.map(orNull),
          orNull(entropy),
        ]),
      );
      for (const [key, result] of results) known.set(key, result);
    },
    [Symbol.dispose]: () => journal[Symbol.dispose](),
  };
}

const orNull = (value: number): number | null => (Number.isFinite(value) ? value : null);
const orNaN = (value: number | null): number => value ?? Number.NaN;
