/** Runs plans into one row file: model after model, so that one is in memory at a time, or in worker processes. */
import { extname, join } from 'node:path';
import type { EvalModel, ModelOptions } from '../models/load.ts';
import type { HeadMaps } from '../reports/document.ts';
import { openRowFile } from '../runner/row-file.ts';
import { runTask, type TaskRows } from '../runner/run.ts';
import { inProcess, type Scorer } from '../runner/scorer.ts';
import { workers } from '../runner/workers.ts';
import type { Ran } from './eval-output.ts';
import type { EvalPlan } from './eval-plan.ts';

export interface ScoringWorld {
  loadModel(idOrFolder: string, options: ModelOptions): Promise<EvalModel>;
  /** Module that worker processes run; default the one with real models. */
  worker?: URL;
  /** Progress. */
  stderr: { isTTY?: boolean; write(text: string): unknown };
}

/** As a source file or as a compiled one, like this one. */
const WORKER = new URL(`./eval-worker${extname(import.meta.url)}`, import.meta.url);

export type PlanToRun = Pick<
  EvalPlan,
  | 'models'
  | 'modelOptions'
  | 'tasks'
  | 'settings'
  | 'profiles'
  | 'headMaps'
  | 'workers'
  | 'threads'
  | 'skipBad'
>;

/**
 * Ctrl-C ends after the row under way.
 * @throws AttuneError MODEL_*, PROFILE_*, SCORE_*, WORKER_DIED, RUN_*
 */
export async function runPlans(
  plans: readonly PlanToRun[],
  out: string,
  world: ScoringWorld,
): Promise<Ran & { sets: TaskRows[] }> {
  const stop = new AbortController();
  const onInterrupt = () => stop.abort();
  process.once('SIGINT', onInterrupt);
  try {
    using file = openRowFile(join(out, 'rows.jsonl'));
    const sets: TaskRows[] = [];
    const models: Ran['models'] = [];
    const heads: HeadMaps[] = [];
    let software: Ran['software'] = {};
    let later = rowsOf(plans);
    for (const plan of plans) {
      for (const name of plan.models) {
        const scorer = await scorerOf(name, plan, world);
        // Several plans may have one model.
        if (!models.some((one) => one.name === scorer.name)) {
          models.push({ name: scorer.name, fingerprint: scorer.fingerprint });
        }
        software = scorer.software;
        try {
          for (const profile of plan.profiles) await scorer.checkProfile(profile);
          for (const task of plan.tasks) {
            later -= task.items.length * plan.settings.length;
            const options = { skipBad: plan.skipBad, signal: stop.signal, later, stream: world.stderr };
            sets.push(await runTask(scorer, task, plan.settings, file, options));
          }
          heads.push(...(await headMapsOf(scorer, plan)));
        } finally {
          await scorer.dispose();
        }
      }
    }
    return { sets, models, software, ...(heads.length > 0 && { heads }) };
  } finally {
    process.off('SIGINT', onInterrupt);
  }
}

/** Of all models, tasks and settings. */
const rowsOf = (plans: readonly PlanToRun[]): number =>
  plans.reduce((sum, { models, tasks, settings }) => {
    const items = tasks.reduce((count, task) => count + task.items.length, 0);
    return sum + models.length * items * settings.length;
  }, 0);

/** Under every setting on the same prompts: the first of each task. */
async function headMapsOf(scorer: Scorer, { tasks, settings, headMaps }: PlanToRun): Promise<HeadMaps[]> {
  if (headMaps === 0) return [];
  const items = tasks.flatMap((task) => task.items.slice(0, headMaps));
  const all: HeadMaps[] = [];
  for (const setting of settings) {
    const maps = await scorer.headMaps(setting, items);
    all.push({ model: scorer.name, intervention: setting.label, prompts: items.length, maps });
  }
  return all;
}

async function scorerOf(name: string, plan: PlanToRun, world: ScoringWorld): Promise<Scorer> {
  const options = { ...plan.modelOptions, threads: plan.threads };
  if (plan.workers === 1) return inProcess(await world.loadModel(name, options));
  return workers({ count: plan.workers, module: world.worker ?? WORKER, model: name, options });
}
