/**
 * A suite is a list of named cases; each measures a baseline and a candidate, and may have a bound to meet. The
 * report is the document of `attune bench --json`.
 */
import { AttuneError, nearest } from '../errors.ts';
import { describeMachine, type Machine } from './machine.ts';
import type { Clock } from './paired.ts';

export interface Suite {
  readonly name: string;
  /** One line for --help. */
  readonly summary: string;
  readonly cases: readonly Case[];
  /** Releases what cases share; called once after the last, also when one threw. */
  close?(): Promise<void>;
}

export interface Case {
  readonly case: string;
  /** Largest value allowed of what the case measures; informative where absent. */
  readonly bound?: number;
  /** What the bound is on; default 'ratio'. */
  readonly bounds?: 'ratio' | 'ms' | 'value';
  run(options: RunOptions): Promise<Measurement>;
}

export interface RunOptions {
  readonly clock: Clock;
  /** Repetitions are multiplied by this; 1 is the documented run. */
  readonly effort: number;
}

/** Milliseconds unless the note says otherwise. */
export interface Measurement {
  /** Undefined where there is nothing to compare with. */
  readonly baselineMs?: number;
  readonly ms?: number;
  /** Default ms / baselineMs. */
  readonly ratio?: number;
  /** A measured quantity that is not a time: bytes, per cent. */
  readonly value?: number;
  readonly note?: string;
}

export interface Row {
  readonly case: string;
  readonly baselineMs: number | null;
  readonly ms: number | null;
  readonly ratio: number | null;
  readonly value: number | null;
  readonly bound: number | null;
  readonly pass: boolean;
  readonly note: string;
}

export interface Report {
  readonly suite: string;
  readonly clock: Clock;
  readonly machine: Machine;
  readonly rows: readonly Row[];
}

export interface SuiteOptions extends Partial<RunOptions> {
  /** Names of the cases to run; all by default. */
  readonly cases?: readonly string[];
  /** Called after each case. */
  readonly onRow?: (row: Row) => void;
}

/** @throws AttuneError CASE_UNKNOWN with the nearest names */
export async function runSuite(suite: Suite, options: SuiteOptions = {}): Promise<Report> {
  const { clock = 'wall', effort = 1, onRow } = options;
  const rows: Row[] = [];
  try {
    for (const one of chosenCases(suite, options.cases)) {
      const row = judge(one, await one.run({ clock, effort }));
      rows.push(row);
      onRow?.(row);
    }
  } finally {
    await suite.close?.();
  }
  return { suite: suite.name, clock, machine: describeMachine(), rows };
}

function chosenCases({ name, cases }: Suite, wanted: readonly string[] | undefined): readonly Case[] {
  if (wanted === undefined || wanted.length === 0) return cases;
  const names = cases.map((one) => one.case);
  for (const one of wanted) {
    if (names.includes(one)) continue;
    throw new AttuneError('CASE_UNKNOWN', {
      at: `suite ${name}`,
      found: `case "${one}"`,
      expected: names.join(', '),
      hint: `Nearest: ${nearest(one, names, 1)[0]}.`,
    });
  }
  return cases.filter((one) => wanted.includes(one.case));
}

function judge({ case: name, bound, bounds = 'ratio' }: Case, measured: Measurement): Row {
  const { baselineMs = null, ms = null, value = null, note = '' } = measured;
  const ratio = measured.ratio ?? (ms !== null && baselineMs !== null ? ms / baselineMs : null);
  const bounded = { ratio, ms, value }[bounds];
  // A bound on something that was not measured is missed: a case must not pass by saying nothing.
  const pass = bound === undefined || (bounded !== null && bounded <= bound);
  return { case: name, baselineMs, ms, ratio, value, bound: bound ?? null, pass, note };
}

/** 0, or 2 when a bound was missed. */
export function exitCode({ rows }: Report): 0 | 2 {
  return rows.every(({ pass }) => pass) ? 0 : 2;
}
