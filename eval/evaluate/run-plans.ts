/** Runs plans into one row file: model after model, so that one is in memory at a time, or in worker processes. */
import { extname, join } from 'node:path';
import { AttuneError } from '../../errors.ts';
import type { EvalModel, ModelOptions } from '../models/load.ts';
import type { HeadMaps } from '../reports/document.ts';
import { openRowFile, rowsInMemory } from '../runner/row-file.ts';
import { runTask, type TaskRows } from '../runner/run.ts';
import { inProcess, type Scorer } from '../runner/scorer.ts';
import { workers } from '../runner/workers.ts';
import type { Ran } from './document.ts';
import type { EvalPlan } from './plan.ts';

export interface ScoringWorld {
  loadModel(idOrFolder: string, options: ModelOptions): Promise<EvalModel>;
  /** Module that worker processes run; default the one with real models. */
  worker?: URL;
  /** Progress. */
  stderr: { isTTY?: boolean; write(text: string): unknown };
  /** Ends a run after the row under way. */
  signal?: AbortSignal | undefined;
}

/** As a source file or as a compiled one, like this one. */
const WORKER = new URL(`./eval-worker${extname(import.meta.url)}`, import.meta.url);

export type PlanToRun = Pick<
  EvalPlan,
  'models' | 'modelOptions' | 'tasks' | 'settings' | 'profiles' | 'mapped' | 'workers' | 'threads' | 'skipBad'
>;

/**
 * @param out folder of the row file; undefined: rows are in memory alone
 * @throws AttuneError MODEL_*, PROFILE_*, SCORE_*, WORKER_DIED, RUN_*
 */
export async function runPlans(
  plans: readonly PlanToRun[],
  out: string | undefined,
  world: ScoringWorld,
): Promise<Ran & { sets: TaskRows[] }> {
  using file = out === undefined ? rowsInMemory() : openRowFile(join(out, 'rows.jsonl'));
  const sets: TaskRows[] = [];
  const models: Ran['models'] = [];
  const heads: HeadMaps[] = [];
  let software: Ran['software'] = {};
  let later = rowsOf(plans);
  for (const plan of plans) {
    for (const model of plan.models) {
      const scorer = await scorerOf(model, plan, world);
      // Several plans may have one model.
      if (!models.some((one) => one.name === scorer.name)) {
        models.push({ name: scorer.name, fingerprint: scorer.fingerprint });
      }
      software = scorer.software;
      try {
        for (const profile of plan.profiles) await scorer.checkProfile(profile);
        for (const task of plan.tasks) {
          later -= task.items.length * plan.settings.length;
          const options = { skipBad: plan.skipBad, signal: world.signal, later, stream: world.stderr };
          sets.push(await runTask(scorer, task, plan.settings, file, options));
        }
        heads.push(...(await headMapsOf(scorer, plan)));
      } finally {
        await scorer.dispose();
      }
    }
  }
  return { sets, models, software, ...(heads.length > 0 && { heads }) };
}

/** Of all models, tasks and settings. */
const rowsOf = (plans: readonly PlanToRun[]): number =>
  plans.reduce((sum, { models, tasks, settings }) => {
    const items = tasks.reduce((count, task) => count + task.items.length, 0);
    return sum + models.length * items * settings.length;
  }, 0);

/** Under every setting on the same prompts. */
async function headMapsOf(scorer: Scorer, { mapped: items, settings }: PlanToRun): Promise<HeadMaps[]> {
  if (items.length === 0) return [];
  const all: HeadMaps[] = [];
  for (const setting of settings) {
    const maps = await scorer.headMaps(setting, items);
    all.push({ model: scorer.name, intervention: setting.label, prompts: items.length, maps });
  }
  return all;
}

async function scorerOf(model: string | EvalModel, plan: PlanToRun, world: ScoringWorld): Promise<Scorer> {
  if (typeof model !== 'string') return lent(model, plan.workers);
  const options = { ...plan.modelOptions, threads: plan.threads };
  if (plan.workers === 1) return inProcess(await world.loadModel(model, options));
  return workers({ count: plan.workers, module: world.worker ?? WORKER, model, options });
}

/** A model of the caller's, who disposes of it. */
function lent(model: EvalModel, count: number): Scorer {
  if (count === 1) return { ...inProcess(model), dispose: async () => {} };
  throw new AttuneError('OPTION_INVALID', {
    at: 'evaluate, option "workers"',
    found: `${count} with a model that is loaded already`,
    expected: '1',
    hint: 'Name the model by its folder or Hub id, and each process loads it.',
  });
}
