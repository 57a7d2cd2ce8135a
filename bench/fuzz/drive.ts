/** Runs workers over seeds, ends those that stand still or grow, and gathers what was found. */
import { type ChildProcess, spawn } from 'node:child_process';
import { extname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { AttuneError } from '../../errors.ts';
import type { Finding, Probed } from './probe.ts';

const WORKER = join(import.meta.dirname, `worker${extname(import.meta.filename)}`);

/** What one file may take. */
export const LIMITS = { graphMs: 2_000, runtimeMs: 20_000, megabytes: 1024 } as const;

/** Mutants of a process: some growth is ONNX Runtime's. */
const BATCH = 200;

export interface Found extends Finding {
  readonly seed: number;
  readonly file: string;
  readonly mutations: readonly string[];
  readonly outcome: Probed['outcome'] | 'died' | 'no end';
}

export interface Tally {
  tried: number;
  readonly outcomes: Record<string, number>;
  readonly codes: Record<string, number>;
  readonly found: Found[];
  slowestMs: number;
}

export interface DriveOptions {
  readonly from: number;
  /** At most so many, and no more after `until`. */
  readonly count: number;
  readonly until?: number;
  /** Also run graphs, with everything read and edited. */
  readonly run: boolean;
  onFound?(found: Found): void;
  onTried?(tally: Tally): void;
}

interface Line {
  readonly seed?: number;
  readonly file?: string;
  readonly mutations?: readonly string[];
  readonly stage?: string;
  readonly done?: number;
  readonly ms?: number;
  readonly outcome?: Probed['outcome'];
  readonly findings?: readonly Finding[];
  readonly codes?: Readonly<Record<string, string>>;
}

/** Stages in which ONNX Runtime alone is at work on the untouched file. */
const NOT_OURS = 'runtime';

export async function drive(options: DriveOptions): Promise<Tally> {
  const tally: Tally = { tried: 0, outcomes: {}, codes: {}, found: [], slowestMs: 0 };
  const end = options.from + options.count;
  let seed = options.from;
  while (seed < end && Date.now() < (options.until ?? Infinity)) {
    seed = await batch(seed, Math.min(BATCH, end - seed), options, tally);
  }
  return tally;
}

/** @returns the seed to go on from */
async function batch(from: number, count: number, options: DriveOptions, tally: Tally): Promise<number> {
  const child = spawn(
    process.execPath,
    [
      '--import',
      import.meta.resolve('tsx'),
      `--max-old-space-size=${LIMITS.megabytes}`,
      WORKER,
      String(from),
      String(count),
      options.run ? 'run' : 'graph',
    ],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  const errors: Buffer[] = [];
  child.stderr!.on('data', (chunk: Buffer) => errors.push(chunk));
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const watch = new Watch(child);
  let now: Line = {};
  let next = from;
  for await (const text of createInterface({ input: child.stdout! })) {
    const line = JSON.parse(text) as Line;
    if (line.seed !== undefined) now = line;
    if (line.stage !== undefined) now = { ...now, stage: line.stage };
    watch.entered(now.stage);
    if (line.done === undefined) continue;
    next = line.done + 1;
    counted(tally, now, line, options);
    if (Date.now() > (options.until ?? Infinity)) child.kill('SIGKILL');
  }
  await closed;
  watch.stop();
  if (next === from + count || Date.now() > (options.until ?? Infinity)) return next;
  if (now.seed === undefined) {
    throw new AttuneError('WORKER_DIED', {
      at: WORKER,
      found: Buffer.concat(errors).toString().slice(-400),
    });
  }
  const outcome = watch.endless ? 'no end' : 'died';
  const ours = now.stage !== NOT_OURS;
  const what = Buffer.concat(errors).toString().trim().slice(-400);
  record(
    tally,
    ours ? { ...identity(now), stage: now.stage ?? 'start', outcome, message: what } : undefined,
    ours ? outcome : 'declined',
    options,
  );
  return now.seed + 1;
}

const identity = ({ seed = -1, file = '', mutations = [] }: Line) => ({ seed, file, mutations });

function counted(tally: Tally, now: Line, line: Line, options: DriveOptions): void {
  const outcome = line.outcome!;
  for (const code of new Set(Object.values(line.codes ?? {})))
    tally.codes[code] = (tally.codes[code] ?? 0) + 1;
  tally.slowestMs = Math.max(tally.slowestMs, line.ms ?? 0);
  const [finding] = line.findings ?? [];
  record(tally, finding && { ...identity(now), ...finding, outcome }, outcome, options);
}

function record(tally: Tally, found: Found | undefined, outcome: string, options: DriveOptions): void {
  tally.tried++;
  tally.outcomes[outcome] = (tally.outcomes[outcome] ?? 0) + 1;
  if (found) {
    tally.found.push(found);
    options.onFound?.(found);
  }
  options.onTried?.(tally);
}

/** Ends a process that stays in a stage for longer than it may. */
class Watch {
  endless = false;
  #timer: NodeJS.Timeout | undefined;
  readonly #child: ChildProcess;

  constructor(child: ChildProcess) {
    this.#child = child;
    this.#wait(60_000);
  }

  entered(stage: string | undefined): void {
    this.#wait(stage === NOT_OURS ? LIMITS.runtimeMs : 10 * LIMITS.graphMs);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #wait(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.endless = true;
      this.#child.kill('SIGKILL');
    }, ms);
  }
}
