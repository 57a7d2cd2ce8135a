/** What a run of evaluation does, read and checked before any model is loaded. */
import { AttuneError, nearest } from '../../errors.ts';
import type { EvalModel, ModelOptions } from '../models/load.ts';
import { needsDocuments } from '../models/needs.ts';
import { hasDocuments, type Item } from '../outputs/index.ts';
import { contentHash } from '../runner/content-hash.ts';
import { type Gate, parseGate, refuseUnmatched } from '../runner/gate.ts';
import type { Setting } from '../runner/setting.ts';
import { parseShard, type Shard, tasksOfShard, withItems } from '../shards/shard.ts';
import type { EvaluateOptions } from './options.ts';
import { type PlannedTask, planTask } from './planned-task.ts';
import { type ReadIntervention, type Settings, settingsOf } from './settings.ts';
import { withMetrics } from './with-metrics.ts';

export interface EvalPlan extends Settings {
  models: readonly (string | EvalModel)[];
  modelOptions: ModelOptions;
  tasks: PlannedTask[];
  /** Equal for runs of the same models, items and settings. */
  id: string;
  seed: number;
  limit: number | undefined;
  /** Of every task; undefined: each task's own. */
  split: string | undefined;
  resamples: number;
  /** Items whose prompts head maps are measured on; of shards the first has them. */
  mapped: readonly Item[];
  /** What part of the run this is; undefined: all of it. */
  shard: Shard | undefined;
  /** Of a shard what was asked, without what changes no number. */
  asked: Record<string, unknown> | undefined;
  /** Processes that score; 1: this one. */
  workers: number;
  threads: number | undefined;
  skipBad: boolean;
  /** Only items of these ids; empty: all. */
  sampleIds: readonly string[];
  gates: readonly Gate[];
}

/** @throws AttuneError TASK_*, DATA_*, PROFILE_*, GATE_*, SAMPLE_UNKNOWN, and what `readIntervention` throws */
export async function evalPlan(
  options: EvaluateOptions,
  readIntervention: ReadIntervention,
): Promise<EvalPlan> {
  const { seed = 0, sampleIds = [], skipBad = false, split, images, allowOutside } = options;
  const models = [options.model].flat();
  const { settings, profiles } = await settingsOf(options, readIntervention);
  const limit = sampleIds.length > 0 ? undefined : options.limit;
  const gates = (options.gates ?? []).map(parseGate);
  const tasks: PlannedTask[] = [];
  for (const task of [options.tasks].flat()) {
    const how = { limit, seed, skipBad, split, images, allowOutside };
    const planned = await planTask(task, options.data, how);
    tasks.push({ ...planned, task: withMetrics(planned.task, options.metrics ?? []) });
  }
  refuseWithoutDocuments(tasks, settings);
  pick(tasks, sampleIds);
  const shard = options.shard === undefined ? undefined : parseShard(options.shard);
  for (const gate of gates)
    refuseUnmatched(
      gate,
      tasks.map((task) => ({ task, settings })),
    );
  const { dtype, modelFile, device, runtime, chat } = options;
  const modelOptions = {
    dtype,
    device,
    ...(runtime && { runtime }),
    ...(modelFile && { modelFile }),
    ...(chat && { chat }),
  };
  const identity = [
    models.map((model) => (typeof model === 'string' ? model : model.fingerprint)),
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
    tasks: shard ? tasksOfShard(tasks, shard) : tasks,
    id: contentHash([identity, contents]).slice(0, 12),
    settings,
    profiles,
    seed,
    limit,
    split,
    skipBad,
    sampleIds,
    // Bounds hold for the whole.
    gates: shard ? [] : gates,
    mapped: shard && shard.index > 1 ? [] : mappedItems(tasks, options.headMaps ?? 0),
    shard,
    asked: shard && askedOf(options),
    workers: options.workers ?? 1,
    threads: options.threads,
    resamples: options.resamples ?? 10_000,
  };
}

/** The first of each task. */
const mappedItems = (tasks: readonly PlannedTask[], count: number): Item[] =>
  tasks.flatMap(({ items }) => items.slice(0, count));

/** As JSON has it; how many processes and where to is no part of what is computed. @throws AttuneError OPTION_INVALID */
function askedOf(options: EvaluateOptions): Record<string, unknown> {
  if ([options.model].flat().some((model) => typeof model !== 'string')) {
    throw new AttuneError('OPTION_INVALID', {
      at: 'evaluate, option "shard"',
      found: 'a model that is loaded already',
      expected: 'its folder or Hub id, which every machine loads',
    });
  }
  const { shard, workers, threads, out, progress, signal, ...asked } = options;
  return JSON.parse(JSON.stringify(asked)) as Record<string, unknown>;
}

/** Leaves the items of these ids, in place. @throws AttuneError SAMPLE_UNKNOWN for an id that no task has. */
function pick(tasks: PlannedTask[], ids: readonly string[]): void {
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
  for (const [i, task] of tasks.entries()) tasks[i] = withItems(task, ({ id }) => ids.includes(id));
  const empty = tasks.findIndex(({ items }) => items.length === 0);
  if (empty !== -1) {
    throw new AttuneError('SAMPLE_UNKNOWN', {
      at: '--sample-id',
      found: `no item of the task ${tasks[empty]!.task.name}`,
      expected: 'at least one of each task',
    });
  }
}

/** @throws AttuneError TASK_NO_DOCUMENTS for an intervention on documents and a task whose prompts have none. */
function refuseWithoutDocuments(tasks: readonly PlannedTask[], settings: readonly Setting[]): void {
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
