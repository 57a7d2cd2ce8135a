/**
 * Runs the studies and writes what docs/results.md shows:
 *   npm run testbed:results -- [text] [pictures] [--items 600] [--choose 120] [--workers 1] [--threads 1] [--page]
 *
 * bench/results/profiles/     what `attune calibrate` found on the calibration split
 * bench/results/<study>.json  settings chosen, and the report of the test split
 * docs/results.md               the tables between its markers; --page writes them from the reports and runs nothing
 *
 * Everything goes through the command line, as a user would; a second call goes on where the first was interrupted.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { between } from './page.ts';
import { type Candidate, type Method, STUDIES, type Study } from './studies.ts';
import { type Comparison, type Run, tablesOf } from './tables.ts';

const HERE = 'bench/results';
const PROFILES = join(HERE, 'profiles');
const SCRATCH = '.attune/results';

/** One attune command with --json; progress stays on the terminal. @throws Error with the command that failed */
async function attune(...argv: string[]): Promise<unknown> {
  process.stderr.write(`attune ${argv.join(' ')}\n`);
  const child = spawn(process.execPath, ['--import', 'tsx', 'eval/cli/main.ts', ...argv, '--json'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let out = '';
  child.stdout.on('data', (chunk: Buffer) => {
    out += chunk.toString();
  });
  const code = await new Promise((resolve) => child.on('close', resolve));
  if (code !== 0) throw new Error(`exit code ${code}: attune ${argv.join(' ')}`);
  return JSON.parse(out);
}

const flags = (candidates: readonly Candidate[]): string[] => [
  ...candidates.flatMap(({ intervention }) => ['--intervention', intervention]),
  ...candidates.flatMap(({ params }) => ['--params', JSON.stringify(params)]),
];

const threadFlag = (threads: string | undefined): string[] =>
  threads === undefined ? [] : ['--threads', threads];

interface Options {
  readonly items: number;
  readonly choose: string;
  readonly workers: string;
  readonly threads: string | undefined;
}

export interface Chosen {
  readonly method: string;
  readonly params: Readonly<Record<string, unknown>>;
  /** What each candidate scored on the calibration split, in their order; absent where there was nothing to choose. */
  readonly scores?: readonly number[];
}

/** The candidate with the best metric on the calibration split; the first of equals. */
async function choose(
  study: Study,
  task: Study['tasks'][number],
  method: Method,
  { choose: limit, threads }: Options,
): Promise<{ candidate: Candidate; chosen: Chosen }> {
  const { name } = method;
  const candidates: Candidate[] = [];
  for (const one of method.candidates) candidates.push(await withSinks(study, task.name, one));
  const [only] = candidates;
  if (candidates.length === 1) return { candidate: only!, chosen: { method: name, params: only!.params } };
  const report = (await attune(
    ...['eval', '--model', study.model, '--task', task.name, '--split', 'calibration', '--limit', limit],
    ...['--out', join(SCRATCH, `${task.name}.${name}.calibration`), ...threadFlag(threads)],
    ...flags(candidates),
  )) as { runs: Run[] };
  const scores = report.runs.slice(1).map(({ metrics }) => metrics[task.metric]!.value);
  const candidate = candidates[scores.indexOf(Math.max(...scores))]!;
  return { candidate, chosen: { method: name, params: candidate.params, scores } };
}

/** VAR with the sink dimensions and τ of this model. */
async function withSinks(study: Study, task: string, candidate: Candidate): Promise<Candidate> {
  if (candidate.intervention !== 'var') return candidate;
  const path = join(PROFILES, 'worlds-vlm.var.profile.json');
  if (!existsSync(path)) {
    await attune(
      ...['calibrate', '--model', study.model, '--intervention', 'var', '--task', task],
      ...['--samples', '64', '--out', path],
    );
  }
  const { interventions } = JSON.parse(readFileSync(path, 'utf8')) as {
    interventions: [Record<string, unknown>];
  };
  const { dimensions, tau } = interventions[0];
  return { ...candidate, params: { dimensions, tau, ...candidate.params } };
}

async function profileOf(study: Study, task: string, intervention: string): Promise<string> {
  const path = join(PROFILES, `${task}.${intervention}.profile.json`);
  if (!existsSync(path)) {
    await attune(
      ...['calibrate', '--model', study.model, '--intervention', intervention, '--task', task],
      ...['--samples', '300', '--held-out', '200', '--seed', '0', '--out', path],
    );
  }
  return path;
}

interface Result {
  readonly task: string;
  readonly effects: readonly string[];
  readonly chosen: readonly Chosen[];
  readonly runs: readonly Run[];
  /** Methods against another than the untouched model. */
  readonly against: readonly Comparison[];
}

/** Results task by task, so that what is finished is on the page when a run is interrupted. */
async function* run(study: Study, options: Options): AsyncGenerator<Result> {
  for (const task of study.tasks) {
    const profiles: string[] = [];
    for (const intervention of task.calibrated) {
      profiles.push(await profileOf(study, task.name, intervention));
    }
    const picked: Awaited<ReturnType<typeof choose>>[] = [];
    for (const method of task.methods) picked.push(await choose(study, task, method, options));
    const limit = String(Math.min(task.items, options.items));
    const out = join(SCRATCH, `${task.name}.test`);
    const { runs } = (await attune(
      ...['eval', '--model', study.model, '--task', task.name, '--split', 'test', '--limit', limit],
      ...['--workers', options.workers, '--out', out, ...threadFlag(options.threads)],
      ...profiles.flatMap((path) => ['--profile', path]),
      ...flags(picked.map(({ candidate }) => candidate)),
    )) as { runs: Run[] };
    // Times of this machine would change with every run; they are what `attune bench` is for.
    const lasting = runs.map(({ cost: _, ...one }) => one);
    yield {
      task: task.name,
      effects: task.effects,
      chosen: picked.map(({ chosen }) => chosen),
      runs: lasting,
      against: await againstOthers(task.methods, out),
    };
  }
}

/** From the rows of the test split, in which every method has one setting. */
async function againstOthers(methods: readonly Method[], out: string): Promise<Comparison[]> {
  const comparisons: Comparison[] = [];
  for (const { candidates, against } of methods) {
    if (against === undefined) continue;
    const { intervention } = candidates[0]!;
    const found = (await attune('compare', out, out, '--a', against, '--b', intervention)) as {
      comparisons: [Pick<Comparison, 'n' | 'metrics'>];
    };
    const [{ n, metrics }] = found.comparisons;
    comparisons.push({ intervention, against, n, metrics });
  }
  return comparisons;
}

function write(study: Study, results: readonly Result[]): void {
  writeFileSync(join(HERE, `${study.name}.json`), `${JSON.stringify(results, null, 1)}\n`);
  writePage(study, results);
}

function writePage({ name }: Study, results: readonly Result[]): void {
  between(name, tablesOf(results));
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    items: { type: 'string', default: '600' },
    choose: { type: 'string', default: '120' },
    workers: { type: 'string', default: '1' },
    threads: { type: 'string' },
    page: { type: 'boolean' },
  },
});
mkdirSync(PROFILES, { recursive: true });
const wanted = STUDIES.filter(({ name }) => positionals.length === 0 || positionals.includes(name));
for (const study of wanted) {
  const results: Result[] = [];
  if (values.page) {
    writePage(study, JSON.parse(readFileSync(join(HERE, `${study.name}.json`), 'utf8')));
    continue;
  }
  for await (const result of run(study, {
    ...values,
    threads: values.threads,
    items: Number(values.items),
  })) {
    results.push(result);
    write(study, results);
  }
}
