/** What attune eval is asked to do, read and checked before any model is loaded. */
import { existsSync, statSync } from 'node:fs';
import { basename, dirname, isAbsolute, join, resolve } from 'node:path';
import type { Profile } from '../../calibration/index.ts';
import { AttuneError, nearest } from '../../errors.ts';
import { sourceSchema } from '../data/source.ts';
import type { ModelOptions } from '../models/load.ts';
import type { EvalIntervention } from '../models/needs.ts';
import { needsDocuments } from '../models/needs.ts';
import { hasDocuments, outputRow } from '../outputs/index.ts';
import { contentHash, fileHash } from '../runner/content-hash.ts';
import { type Gate, parseGate, refuseUnmatched } from '../runner/gate.ts';
import type { RunTask } from '../runner/run.ts';
import { baseline, type Setting, settingOf } from '../runner/setting.ts';
import type { Task } from '../tasks/definition.ts';
import { findTask } from '../tasks/find.ts';
import { type LoadOptions, loadItems, sourceNames } from '../tasks/items.ts';
import { localTask } from '../tasks/local-task.ts';
import type { Arguments } from './arguments.ts';
import { chatOf, modelOptionsOf } from './model-flags.ts';

export type ReadIntervention = (
  json: Record<string, unknown>,
) => EvalIntervention | Promise<EvalIntervention>;

export interface EvalPlan {
  models: readonly string[];
  modelOptions: ModelOptions;
  tasks: (RunTask & { files: { file: string; sha256: string }[] })[];
  settings: readonly Setting[];
  /** Whose interventions are among the settings; only for the models they were made for. */
  profiles: readonly Profile[];
  out: string;
  seed: number;
  limit: number | undefined;
  /** Of every task; undefined: each task's own. */
  split: string | undefined;
  resamples: number;
  /** Prompts of each task that head maps are measured on; 0: no maps. */
  headMaps: number;
  /** Processes that score; 1: this one. */
  workers: number;
  threads: number | undefined;
  skipBad: boolean;
  /** Only items of these ids; empty: all. */
  sampleIds: readonly string[];
  gates: readonly Gate[];
}

/** @throws AttuneError ARGUMENT_*, TASK_*, DATA_*, PROFILE_*, and what `readIntervention` throws. */
export async function evalPlan(args: Arguments, readIntervention: ReadIntervention): Promise<EvalPlan> {
  const models = required(args, 'model');
  const names = required(args, 'task');
  const { settings, profiles } = await settingsOf(args, readIntervention);
  const seed = args.integer('seed') ?? 0;
  const sampleIds = args.list('sample-id');
  const limit = sampleIds.length > 0 ? undefined : args.integer('limit', 1);
  const skipBad = args.flag('skip-bad');
  const gates = args.list('gate').map(parseGate);
  const split = args.text('split');
  const tasks: EvalPlan['tasks'] = [];
  for (const name of names) {
    const images = args.text('images');
    const allowOutside = args.flag('allow-outside');
    const options = { limit, seed, skipBad, split, images, allowOutside };
    const planned = await planTask(name, args.text('data'), options);
    tasks.push({ ...planned, task: withMetrics(planned.task, args.list('metric')) });
  }
  refuseWithoutDocuments(tasks, settings);
  pick(tasks, sampleIds);
  for (const gate of gates)
    refuseUnmatched(
      gate,
      tasks.map((task) => ({ task, settings })),
    );
  const modelOptions = { ...modelOptionsOf(args), ...chatOf(args) };
  const identity = [
    models,
    modelOptions,
    settings.map(({ specHash }) => specHash),
    seed,
    limit,
    skipBad,
    sampleIds,
    split,
  ];
  const contents = tasks.map(({ task, files }) => [task, files.map(({ sha256 }) => sha256)]);
  return {
    models,
    modelOptions,
    tasks,
    settings,
    profiles,
    seed,
    limit,
    split,
    skipBad,
    sampleIds,
    gates,
    headMaps: args.integer('head-maps', 1) ?? 0,
    workers: args.integer('workers', 1) ?? 1,
    threads: args.integer('threads', 1),
    resamples: args.integer('resamples', 100) ?? 10_000,
    out: args.text('out') ?? join('runs', contentHash([identity, contents]).slice(0, 12)),
  };
}

/** Leaves the items of these ids, in place. @throws AttuneError SAMPLE_UNKNOWN for an id that no task has. */
function pick(tasks: EvalPlan['tasks'], ids: readonly string[]): void {
  if (ids.length === 0) return;
  const known = tasks.flatMap(({ items }) => items.map(({ id }) => id));
  const unknown = ids.find((id) => !known.includes(id));
  if (unknown !== undefined) {
    throw new AttuneError('SAMPLE_UNKNOWN', {
      at: '--sample-id',
      found: `"${unknown}"`,
      expected: 'the id of an item of the tasks',
      hint: `Nearest: ${nearest(unknown, known).join(', ')}`,
    });
  }
  for (const task of tasks) {
    const kept = [...task.items.keys()].filter((index) => ids.includes(task.items[index]!.id));
    task.order = task.order.flatMap((index) => (kept.includes(index) ? [kept.indexOf(index)] : []));
    task.items = kept.map((index) => task.items[index]!);
  }
  const empty = tasks.findIndex(({ items }) => items.length === 0);
  if (empty !== -1) {
    throw new AttuneError('SAMPLE_UNKNOWN', {
      at: '--sample-id',
      found: `no item of the task ${tasks[empty]!.task.name}`,
      expected: 'at least one of each task',
    });
  }
}

/** The task with more metrics. @throws AttuneError ARGUMENT_INVALID for one that its output type has not, or that it lacks an entry for */
function withMetrics(task: Task, names: readonly string[]): Task {
  const { schema, check } = outputRow(task.output);
  const possible = schema.shape.metrics.def.element.options as readonly string[];
  const refuse = (found: string, expected: string) => {
    throw new AttuneError('ARGUMENT_INVALID', { at: `--metric, task ${task.name}`, found, expected });
  };
  for (const name of names) if (!possible.includes(name)) refuse(name, possible.join(', '));
  const more = { ...task, metrics: [...new Set([...task.metrics, ...names])] } as Task;
  if (names.length > 0) check?.(more as never, (_, message) => refuse(names.join(', '), message));
  return more;
}

export function required(args: Arguments, flag: string, command = 'eval'): readonly string[] {
  const values = args.list(flag);
  if (values.length > 0) return values;
  throw new AttuneError('ARGUMENT_MISSING', {
    expected: `--${flag}`,
    hint: `attune ${command} --help shows examples`,
  });
}

/** A task by name or file, with its items and the hashes of what they were made from. */
export async function planTask(
  name: string,
  data: string | undefined,
  options: Omit<LoadOptions, 'root' | 'seed'> & { seed: number },
): Promise<EvalPlan['tasks'][number]> {
  const found = await findTask(name);
  const given = data !== undefined && existsSync(data) && statSync(data).isFile() ? data : undefined;
  const own = given === undefined ? found.task : withFile(found.task, basename(given));
  const { task, root: fetched, nameOf } = await localTask(own, options.split);
  if ('world' in task.source) {
    const loaded = await loadItems(task, { root: '', ...options });
    const [file] = sourceNames(task, loaded.split, options.seed) as [string];
    return { task, ...loaded, files: [{ file, sha256: contentHash(loaded.items) }] };
  }
  const root = fetched ?? (given ? dirname(resolve(given)) : dataFolder(data, found.folder));
  const loaded = await loadItems(task, { root, ...options });
  const files = await Promise.all(
    sourceNames(task, loaded.split, options.seed).map(async (file) => ({
      file: nameOf(file),
      sha256: await fileHash(isAbsolute(file) ? file : join(root, file)),
    })),
  );
  return { task, ...loaded, files };
}

/** The task on a file of the user's, in place of its own files or of those on the Hub. */
function withFile(task: Task, file: string): Task {
  const { source } = task;
  if ('world' in source) return task;
  if ('hub' in source) return { ...task, source: sourceSchema.parse({ file, others: source.others }) };
  return { ...task, source: { ...source, file } };
}

/** @throws AttuneError TASK_NO_DOCUMENTS for an intervention on documents and a task whose prompts have none. */
function refuseWithoutDocuments(tasks: EvalPlan['tasks'], settings: readonly Setting[]): void {
  const needing = settings.find(({ interventions }) => interventions.some(needsDocuments));
  const without = tasks.find(({ items }) => !items.every(hasDocuments));
  if (!needing || !without) return;
  throw new AttuneError('TASK_NO_DOCUMENTS', {
    at: `task ${without.task.name}`,
    found: 'prompts without interchangeable parts',
    expected: `parts for ${needing.label} to act on`,
    hint: 'Write the prompt as { prefix, parts, suffix } (docs/tasks.md), or run this task without the intervention',
  });
}

function dataFolder(data: string | undefined, taskFolder: string | undefined): string {
  const candidates =
    data !== undefined ? [data] : [taskFolder, process.env.ATTUNE_DATA, 'data', '../shared/data'];
  const folder = candidates.find((candidate) => candidate !== undefined && existsSync(candidate));
  if (folder !== undefined) return folder;
  throw new AttuneError('DATA_FOLDER', {
    found: data === undefined ? 'no data folder' : `no folder or file ${data}`,
    expected: 'the folder that holds the data sets',
    hint: 'Name it with --data',
  });
}

async function settingsOf(
  args: Arguments,
  readIntervention: ReadIntervention,
): Promise<Pick<EvalPlan, 'settings' | 'profiles'>> {
  const names = args.list('intervention');
  const params = args.list('params');
  if (params.length > names.length) {
    throw new AttuneError('ARGUMENT_INVALID', {
      at: '--params',
      found: `${params.length} sets of parameters for ${names.length} interventions`,
      expected: 'at most one for each --intervention',
    });
  }
  const settings: Setting[] = [];
  for (const [i, name] of names.entries()) {
    const intervention = await readIntervention({ intervention: name, ...parametersOf(params[i]) });
    const twice = names.indexOf(name) !== names.lastIndexOf(name);
    settings.push(settingOf(twice ? `${name} ${params[i] ?? '{}'}` : name, [intervention]));
  }
  const profiles: Profile[] = [];
  for (const path of args.list('profile')) {
    const { readProfile } = await import('../../calibration/index.ts');
    const profile = await readProfile(path);
    const interventions = await Promise.all(profile.interventions.map(readIntervention));
    settings.push(settingOf(basename(path).replace(/(\.profile)?\.json$/, ''), interventions));
    profiles.push(profile);
  }
  const hashes = settings.map(({ specHash }) => specHash);
  const repeated = settings.find(({ specHash }, i) => hashes.indexOf(specHash) !== i);
  if (repeated) {
    throw new AttuneError('ARGUMENT_INVALID', {
      at: profiles.length > 0 ? '--profile' : '--intervention',
      found: `${repeated.label} twice`,
      expected: 'different interventions or parameters',
    });
  }
  return { settings: [baseline, ...settings], profiles };
}

/** JSON, or the word default: every parameter at its default, or the error that names those without one. */
function parametersOf(text = '{}'): Record<string, unknown> {
  if (text === 'default') return {};
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  if (value !== null && typeof value === 'object' && !Array.isArray(value))
    return value as Record<string, unknown>;
  throw new AttuneError('ARGUMENT_INVALID', {
    at: '--params',
    found: text,
    expected: 'a JSON object such as {"gamma":1.4}, or default',
  });
}
