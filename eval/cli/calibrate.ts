/** attune calibrate: find heads and strengths of an intervention on a task, and keep them as a profile. */
import { createRequire } from 'node:module';
import { basename, resolve } from 'node:path';
import {
  type Calibrated,
  calibrate,
  type Method,
  makeProfile,
  openSweepJournal,
  type SweepOptions,
} from '../../calibration/index.ts';
import { AttuneError } from '../../errors.ts';
import { planTask } from '../evaluate/planned-task.ts';
import type { MetricName } from '../metrics/index.ts';
import { type Progress, progress } from '../runner/progress.ts';
import { writeWhole } from '../write-whole.ts';
import { type Arguments, helpText, readArguments, type Usage } from './arguments.ts';
import { calibrationText } from './calibrate-text.ts';
import { calibrationItem, estimateBy, searchMetric } from './calibration-items.ts';
import { required } from './eval-options.ts';
import { CHAT_FLAGS, chatOf, MODEL_FLAGS, modelOptionsOf } from './model-flags.ts';
import { indices, number, numbers } from './number-list.ts';

const USAGE: Usage = {
  command: 'calibrate',
  summary: 'find heads and strengths of an intervention on a task, and keep them as a profile',
  flags: {
    model: { type: 'string', value: '<folder|id>', description: 'a decoder in Hub layout' },
    intervention: { type: 'string', value: '<name>', description: 'zerotuning, act or var' },
    task: {
      type: 'string',
      value: '<name|file>',
      multiple: true,
      description: 'what to calibrate on; repeatable: the mean over tasks counts',
    },
    data: { type: 'string', value: '<folder|file>', description: 'as for attune eval' },
    split: {
      type: 'string',
      value: '<name>',
      description: 'of the worlds-… tasks; default calibration. Never calibrate on what you will report',
    },
    samples: {
      type: 'string',
      value: '<n>',
      description: 'items to search on, of each task; default 500 (var: prompts to measure on, 32)',
    },
    'held-out': {
      type: 'string',
      value: '<n>',
      description: 'at most so many further items for the estimate; default 500',
    },
    seed: { type: 'string', value: '<s>', description: 'of the split; default 0' },
    out: {
      type: 'string',
      value: '<file>',
      description: 'the profile; default <model>.<intervention>.profile.json',
    },
    supervised: { type: 'boolean', description: 'search by accuracy (default)' },
    unsupervised: {
      type: 'boolean',
      description: 'zerotuning: search by the entropy of the next token; no answers are looked at',
    },
    metric: {
      type: 'string',
      value: '<name>',
      description: 'which of the task’s metrics to search by; default its first',
    },
    layers: {
      type: 'string',
      value: '<list>',
      description: 'layers that may be edited, 0-3,7; default: all (act: all but the first two)',
    },
    groups: {
      type: 'string',
      value: '<name>',
      description: 'zerotuning: none (default) or thirds of the layers',
    },
    unit: {
      type: 'string',
      value: '<name>',
      description: 'zerotuning: what is probed alone, head (default), layer-head or layer',
    },
    probe: { type: 'string', value: '<γ>', description: 'zerotuning: default 2' },
    fraction: {
      type: 'string',
      value: '<x>',
      description: 'zerotuning: share of the units tuned, default 0.4',
    },
    up: { type: 'string', value: '<list>', description: 'zerotuning: grid of γ above 1; default 1.5 to 4' },
    down: {
      type: 'string',
      value: '<list>',
      description: 'zerotuning: grid of γ below 1; default 0.75 to 0.2',
    },
    beta: { type: 'string', value: '<β>', description: 'act: share a sink keeps, default 0.4' },
    alpha: { type: 'string', value: '<α>', description: 'act: threshold over the uniform weight, default 5' },
    tau: { type: 'string', value: '<τ>', description: 'act: absolute threshold instead' },
    statistics: {
      type: 'string',
      value: '<name>',
      description: 'act: which rows make a key a sink: running (default), frozen or row',
    },
    margin: { type: 'string', value: '<x>', description: 'act: a head is kept if it gains more; default 0' },
    halvings: {
      type: 'string',
      value: '<n>',
      description:
        'act: halve the heads so often on a part of the items, by log-likelihood margins; default 0: every head on all items',
    },
    ...MODEL_FLAGS,
    ...CHAT_FLAGS,
    'batch-tokens': {
      type: 'string',
      value: '<n>',
      description: 'tokens that are run at a time; less takes less memory; default 2048',
    },
    'dry-run': { type: 'boolean', description: 'what the search would measure, and about how long' },
    json: { type: 'boolean', description: 'one JSON document on stdout: {profile, heldOut, search}' },
  },
  examples: [
    'attune calibrate --model models/Qwen2.5-0.5B-Instruct --intervention zerotuning --task copa --samples 300 --out copa.profile.json',
    'attune calibrate --model models/tiny --intervention zerotuning --unsupervised --task my-reviews.task.json --data reviews/',
    'attune calibrate --model models/tiny --intervention act --task boolq --task copa --layers 2-7 --json',
    'attune calibrate --model models/llava --intervention var --task pope-random --data data/ --samples 16',
    'attune eval --model models/Qwen2.5-0.5B-Instruct --task copa --profile copa.profile.json',
  ],
};

/** What the command needs of the world; exchanged in tests. */
export interface CalibrateWorld {
  stdout: { write(text: string): unknown };
  stderr: { isTTY?: boolean; write(text: string): unknown };
}

/** Where the profile cannot be written. */
const KEPT = 'What was measured is kept; run the same command again';

const { version } = createRequire(import.meta.url)('attune/package.json') as { version: string };

/**
 * What was measured stays beside the profile (`….sweep.jsonl`); the same command goes on from there.
 * @throws AttuneError ARGUMENT_*, TASK_*, DATA_*, MODEL_*, CALIBRATION_*, SWEEP_*, JOURNAL_*
 */
export async function calibrateCommand(
  argv: readonly string[],
  world: CalibrateWorld = process,
): Promise<number> {
  const args = readArguments(USAGE, argv);
  if (args.flag('help')) {
    world.stdout.write(helpText(USAGE));
    return 0;
  }
  const name = one(args, 'model');
  if (args.text('intervention') === 'var') return varCommand(args, name, world);
  const method = methodOf(args);
  const out = args.text('out') ?? `${basename(resolve(name))}.${method.intervention}.profile.json`;
  const seed = args.integer('seed') ?? 0;
  const samples = args.integer('samples', 1) ?? 500;
  const heldOut = args.integer('held-out', 1) ?? 500;
  const batchTokens = args.integer('batch-tokens', 1);
  const modelOptions = { ...modelOptionsOf(args), ...chatOf(args) };
  const tasks: Awaited<ReturnType<typeof planTask>>[] = [];
  for (const task of required(args, 'task', 'calibrate')) {
    const split = args.text('split') ?? (task.startsWith('worlds-') ? 'calibration' : undefined);
    tasks.push(await planTask(task, args.text('data'), { limit: undefined, seed, skipBad: false, split }));
  }
  const metric = metricOf(tasks.map(({ task }) => searchMetric(task, args.text('metric'))));

  // The library that runs models is large, and what is asked has been checked before it is loaded.
  const { loadCalibrationModel } = await import('./calibration-model.ts');
  await using loaded = await loadCalibrationModel(name, modelOptions);
  const items = tasks.flatMap(({ task, items: own }) =>
    own.map((item) => calibrationItem(loaded.language, task, item, metric)),
  );
  if (args.flag('dry-run')) {
    const { measuredCost, costText } = await import('./calibration-cost.ts');
    const cost = await measuredCost(loaded, items, method, { samples, heldOut, seed });
    world.stdout.write(args.flag('json') ? `${JSON.stringify(cost)}\n` : costText(cost));
    return 0;
  }
  const journal = out.replace(/(\.json)?$/, '.sweep.jsonl');
  const chosen = await swept(world, name, journal, async (sweep) => {
    const found = await calibrate(loaded.model.attune.facts, items, method, {
      samples,
      heldOut,
      seed,
      estimate: metric && estimateBy(metric, { seed, resamples: 10_000 }),
      sweep: {
        ...sweep,
        session: loaded.session,
        ...(batchTokens !== undefined && { batchTokens }),
      },
    });
    const profile = await makeProfile(loaded.model, found.interventions, {
      model: basename(resolve(name)),
      modelOptions,
      data: tasks.flatMap(({ task, split, files }) =>
        files.map(({ file, sha256 }) => ({ task: task.name, split, file, sha256 })),
      ),
      seed,
      search: found.search,
      heldOut: found.heldOut,
      software: { attune: version },
    });
    writeWhole(out, `${JSON.stringify(profile, null, 2)}\n`, KEPT);
    return found;
  });
  if (args.flag('json')) {
    const { samples: searched, settings } = chosen.search;
    const document = { profile: out, heldOut: chosen.heldOut, search: { settings, samples: searched } };
    world.stdout.write(`${JSON.stringify(document)}\n`);
  } else {
    world.stdout.write(calibrationText(chosen, out, name));
  }
  return 0;
}

/** Needs no search: what VAR wants to know is in the residual stream. */
async function varCommand(args: Arguments, name: string, world: CalibrateWorld): Promise<number> {
  const { calibrateVar, refuseSearchFlags, varSummary } = await import('./calibrate-var.ts');
  refuseSearchFlags(args, SEARCH_FLAGS);
  const out = args.text('out') ?? `${basename(resolve(name))}.var.profile.json`;
  const done = await calibrateVar(args, name);
  writeWhole(out, `${JSON.stringify(done.profile, null, 2)}\n`);
  const search = { settings: 0, samples: done.samples };
  const document = { profile: out, heldOut: null, search, sinks: done.sinks };
  world.stdout.write(args.flag('json') ? `${JSON.stringify(document)}\n` : varSummary(done, out, name));
  return 0;
}

const SEARCH_FLAGS = [
  ...['held-out', 'metric', 'layers', 'groups', 'unit', 'probe', 'fraction', 'up', 'down'],
  ...['beta', 'alpha', 'tau', 'statistics', 'margin', 'halvings', 'batch-tokens', 'model-file'],
];

function one(args: Arguments, flag: string): string {
  const value = args.text(flag);
  if (value !== undefined) return value;
  throw new AttuneError('ARGUMENT_MISSING', {
    expected: `--${flag}`,
    hint: 'attune calibrate --help shows examples',
  });
}

function methodOf(args: Arguments): Method {
  const intervention = one(args, 'intervention');
  const unsupervised = args.flag('unsupervised');
  const refuse = (at: string, found: string, expected: string) =>
    new AttuneError('ARGUMENT_INVALID', { at: `--${at}`, found, expected });
  if (unsupervised && args.flag('supervised')) {
    throw refuse('unsupervised', 'both --supervised and --unsupervised', 'one of them');
  }
  const layers = indices(args, 'layers');
  if (intervention === 'zerotuning') {
    foreign(args, intervention, ['beta', 'alpha', 'tau', 'statistics', 'margin', 'halvings']);
    const options = {
      layers,
      groups: args.text('groups') as 'thirds' | undefined,
      unit: args.text('unit') as 'head' | undefined,
      probe: number(args, 'probe'),
      fraction: number(args, 'fraction'),
      up: numbers(args, 'up'),
      down: numbers(args, 'down'),
    };
    return { intervention, objective: unsupervised ? 'entropy' : 'accuracy', options: given(options) };
  }
  if (intervention !== 'act') throw refuse('intervention', `"${intervention}"`, 'zerotuning, act or var');
  foreign(args, intervention, ['groups', 'unit', 'probe', 'fraction', 'up', 'down']);
  if (unsupervised) {
    throw refuse('unsupervised', 'act', 'zerotuning; heads of act are chosen by accuracy');
  }
  const [tau, alpha] = [number(args, 'tau'), number(args, 'alpha')];
  if (tau !== undefined && alpha !== undefined)
    throw refuse('tau', 'both --tau and --alpha', 'one threshold');
  const options = {
    layers,
    beta: number(args, 'beta'),
    threshold: tau !== undefined ? { tau } : alpha !== undefined ? { alpha } : undefined,
    statistics: args.text('statistics') as 'running' | undefined,
    margin: number(args, 'margin'),
    halvings: args.integer('halvings'),
  };
  return { intervention, options: given(options) };
}

/** @throws AttuneError ARGUMENT_INVALID for flags of the other intervention, which would be ignored */
function foreign(args: Arguments, intervention: string, flags: readonly string[]): void {
  const flag = flags.find((name) => args.text(name) !== undefined);
  if (flag === undefined) return;
  throw new AttuneError('ARGUMENT_INVALID', {
    at: `--${flag}`,
    found: `a flag that ${intervention} does not have`,
    hint: '--help says which belong to which',
  });
}

/** Options that were given, without the others, which have defaults. */
function given<T extends object>(options: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as never;
}

/** @throws AttuneError ARGUMENT_INVALID where tasks are measured differently: a mean over them would say nothing */
function metricOf(metrics: readonly (MetricName | undefined)[]): MetricName | undefined {
  const distinct = [...new Set(metrics)];
  if (distinct.length <= 1) return distinct[0];
  throw new AttuneError('ARGUMENT_INVALID', {
    at: '--task',
    found: `tasks measured by ${distinct.map((metric) => metric ?? 'entropy alone').join(' and ')}`,
    expected: 'tasks with one metric',
    hint: 'Calibrate once for each, or name a --metric they share',
  });
}

/** Progress of each step on stderr. Ctrl-C ends after the batch under way. */
async function swept(
  world: CalibrateWorld,
  model: string,
  path: string,
  work: (options: SweepOptions) => Promise<Calibrated>,
): Promise<Calibrated> {
  const stop = new AbortController();
  const onInterrupt = () => stop.abort();
  process.once('SIGINT', onInterrupt);
  let current: { step: string; bar: Progress; done: number } | undefined;
  try {
    using journal = openSweepJournal(path);
    return await work({
      journal,
      signal: stop.signal,
      onProgress({ step, done, total }) {
        if (current?.step !== step || done < current.done) {
          current?.bar.end();
          const bar = progress({ label: `${model} ${step}`, total, stream: world.stderr });
          current = { step, bar, done: 0 };
        }
        for (; current.done < done; current.done++) current.bar.step();
      },
    });
  } finally {
    current?.bar.end();
    process.off('SIGINT', onInterrupt);
  }
}
