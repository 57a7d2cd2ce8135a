/**
 * Measurements as data: `bench/measured/<suite>.json` keeps the newest row of every case with its date, commit, command
 * and machine, and the tables of docs/performance.md are made from it.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { between } from './page.ts';
import type { Report, Row } from './suite.ts';

const FOLDER = join(import.meta.dirname, 'measured');
const PAGE = join(import.meta.dirname, '..', 'docs', 'performance.md');

/** How a row came to be. */
export interface Origin {
  /** ISO day. */
  readonly date: string;
  /** Of the code that was measured. */
  readonly commit: string;
  readonly command: string;
  readonly clock: Report['clock'];
  readonly machine: Report['machine'];
}

export interface MeasuredRow extends Row {
  /** Position in `origins`. */
  readonly origin: number;
}

export interface Measured {
  readonly suite: string;
  readonly origins: readonly Origin[];
  readonly rows: readonly MeasuredRow[];
}

/** The rows of a run in place of older ones of the same cases; origins that no row needs any more go. */
export function merged(kept: Measured | undefined, report: Report, origin: Origin): Measured {
  const origins = [...(kept?.origins ?? []), origin];
  const fresh = new Map(report.rows.map((row) => [row.case, { ...row, origin: origins.length - 1 }]));
  const older = (kept?.rows ?? []).map((row) => fresh.get(row.case) ?? row);
  const known = new Set(older.map((row) => row.case));
  const rows = [...older, ...[...fresh.values()].filter((row) => !known.has(row.case))];
  const needed = origins.flatMap((one, i) =>
    rows.some((row) => row.origin === i) ? [[i, one] as const] : [],
  );
  const place = new Map(needed.map(([before], after) => [before, after]));
  return {
    suite: report.suite,
    origins: needed.map(([, one]) => one),
    rows: rows.map((row) => ({ ...row, origin: place.get(row.origin)! })),
  };
}

const pathOf = (suite: string): string => join(FOLDER, `${suite}.json`);

export function readMeasured(suite: string): Measured | undefined {
  const path = pathOf(suite);
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as Measured) : undefined;
}

/** Keeps a run's rows and brings the page up to date. @returns the path of the data */
export function keep(report: Report, command: string): string {
  const { clock, machine } = report;
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
  const origin = { date: new Date().toISOString().slice(0, 10), commit, command, clock, machine };
  const measured = merged(readMeasured(report.suite), report, origin);
  mkdirSync(FOLDER, { recursive: true });
  writeFileSync(pathOf(report.suite), `${JSON.stringify(measured, null, 1)}\n`);
  writeFileSync(PAGE, withTable(readFileSync(PAGE, 'utf8'), measured));
  return pathOf(report.suite);
}

/** @throws AttuneError PAGE_LACKS_PLACE */
export function withTable(page: string, measured: Measured): string {
  return between(page, `bench ${measured.suite}`, measuredText(measured));
}

/** A table of the newest row of every case, and below it what it was measured with. */
export function measuredText({ origins, rows }: Measured): string {
  const cells = rows.map((row) => [
    row.case,
    shown(row),
    row.bound === null ? '' : String(row.bound),
    row.bound === null ? '' : row.pass ? 'met' : '**missed**',
    row.note,
    origins.length > 1 ? letter(row.origin) : '',
  ]);
  const titles = ['case', 'measured', 'bound', '', 'note', ''];
  const used = titles.map((_, column) => cells.some((row) => row[column] !== ''));
  const line = (row: readonly string[]) =>
    `| ${row
      .filter((_, column) => used[column])
      .map((cell) => cell.replaceAll('|', '\\|'))
      .join(' | ')} |`;
  return [
    line(titles),
    line(titles.map(() => '---')),
    ...cells.map(line),
    '',
    ...origins.map((origin, i) => `${origins.length > 1 ? `${letter(i)}: ` : ''}${originText(origin)}  `),
  ].join('\n');
}

const letter = (i: number): string => String.fromCharCode(97 + i);

/** The quantity that a bound is on, or the one there is. */
function shown({ ratio, ms, value, baselineMs }: Row): string {
  if (value !== null) return figure(value);
  if (ratio !== null) {
    const times = ms !== null && baselineMs !== null ? ` (${figure(baselineMs)} → ${figure(ms)} ms)` : '';
    return `${ratio.toFixed(2)}×${times}`;
  }
  return ms === null ? '' : `${figure(ms)} ms`;
}

const figure = (x: number): string => (Math.abs(x) >= 100 ? x.toFixed(0) : x.toPrecision(3));

function originText({ date, commit, command, clock, machine }: Origin): string {
  const { cpu, cores, memoryGB, node, onnxruntime, transformers, load } = machine;
  return `${date}, \`${command}\` at ${commit}, ${clock} clock: ${cpu}, ${cores} cores, ${memoryGB} GB, Node ${node}, onnxruntime ${onnxruntime}, transformers.js ${transformers}, load ${load}`;
}
