/**
 * Runs models × tasks × settings over items and writes a row for each. Items are outermost, settings inside: a run that
 * is cut short has compared every setting on the items it reached.
 */
import { AttuneError, isAttuneError } from '../../errors.ts';
import type { EvalModel } from '../model.ts';
import { noCost } from '../scoring/language-model.ts';
import { scoreItem } from '../scoring/score-item.ts';
import type { Task } from '../tasks/definition.ts';
import type { Item } from '../tasks/item.ts';
import type { LoadedItems } from '../tasks/items.ts';
import { progress } from './progress.ts';
import { itemHash, type Row, rowKey } from './row.ts';
import type { RowFile } from './row-file.ts';
import type { Setting } from './setting.ts';

export interface RunTask extends LoadedItems {
  task: Task;
}

export interface RunOptions {
  /** Count items that cannot be scored instead of stopping at the first. Default false. */
  skipBad?: boolean | undefined;
  /** Stops the run after the row under way. */
  signal?: AbortSignal | undefined;
  /** Where progress goes; default stderr. */
  stream?: { isTTY?: boolean; write(text: string): unknown } | undefined;
}

/** All rows of one model on one task: `rows[i][j]` is item i under setting j. */
export interface TaskRows {
  model: string;
  task: RunTask;
  settings: readonly Setting[];
  rows: Row[][];
}

/**
 * Rows that `file` has already are not computed again.
 * @throws AttuneError RUN_INTERRUPTED; with the item's place SCORE_EMPTY, SCORE_TOO_LONG, MODEL_OUTPUT; RUN_WRITE.
 */
export async function runTask(
  model: EvalModel,
  task: RunTask,
  settings: readonly Setting[],
  file: RowFile,
  { skipBad = false, signal, stream }: RunOptions = {},
): Promise<TaskRows> {
  const keys = task.items.map((item) =>
    settings.map((setting) => rowKey(model.fingerprint, task.task, item, setting)),
  );
  const total = keys.length * settings.length;
  const bar = progress({
    label: `${model.name} ${task.task.name}`,
    total,
    done: keys.flat().filter((key) => file.rows.has(key)).length,
    ...(stream && { stream }),
  });
  const estimate = runningEstimate(task.task, settings);
  try {
    for (const [i, item] of task.items.entries()) {
      for (const [j, setting] of settings.entries()) {
        const key = keys[i]![j]!;
        const known = file.rows.get(key);
        if (known) {
          estimate.add(j, known);
          continue;
        }
        if (signal?.aborted) throw interrupted(file.rows, keys.flat());
        await model.use(setting.interventions);
        const row = { key, ...(await scoreRow(model, task.task, item, setting, skipBad)) };
        file.append(row);
        estimate.add(j, row);
        bar.step(estimate.text());
      }
    }
  } finally {
    bar.end();
    await model.use([]);
  }
  const rows = keys.map((row) => row.map((key) => file.rows.get(key)!));
  return { model: model.name, task, settings, rows };
}

async function scoreRow(
  model: EvalModel,
  task: Task,
  item: Item,
  setting: Setting,
  skipBad: boolean,
): Promise<Omit<Row, 'key'>> {
  const identity = {
    model: model.name,
    task: task.name,
    setting: setting.label,
    specHash: setting.specHash,
    item: item.id,
    at: item.at,
    content: itemHash(item),
    ...(item.position !== undefined && { position: item.position }),
    ...(item.slice !== undefined && { slice: item.slice }),
    ...(item.cluster !== undefined && { cluster: item.cluster }),
    ...(item.output === 'multiple_choice' && { gold: item.gold }),
  };
  try {
    const { terms, cost, ...score } = await scoreItem(model.language, item, task.metrics);
    const residentBytes = process.memoryUsage.rss();
    return { ...identity, ...score, terms: terms as Row['terms'], cost: { ...cost, residentBytes } };
  } catch (error) {
    if (!isAttuneError(error) || !error.code.startsWith('SCORE_')) throw error;
    if (!skipBad) {
      const { code, found, expected, hint = 'With --skip-bad such items are counted and left out' } = error;
      throw new AttuneError(code, { at: item.at, found, expected, hint, cause: error });
    }
    return {
      ...identity,
      logLikelihoods: [],
      terms: {},
      truncated: false,
      unparsable: false,
      skipped: error.message,
      cost: { ...noCost, residentBytes: 0 },
    };
  }
}

/** The first metric of each setting so far, unfinished (a mean), for the progress line. */
function runningEstimate(task: Task, settings: readonly Setting[]) {
  const [metric] = task.metrics;
  const sums = settings.map(() => [0, 0] as [number, number]);
  return {
    add(setting: number, { terms }: Row) {
      const [numerator, denominator] = terms[metric as string] ?? [0, 0];
      sums[setting]![0] += numerator;
      sums[setting]![1] += denominator;
    },
    text: () =>
      settings
        .map(({ label }, j) => [label, sums[j]![0] / sums[j]![1]] as const)
        .filter(([, mean]) => !Number.isNaN(mean))
        .map(([label, mean]) => `${label} ${mean.toFixed(3)}`)
        .join(', '),
  };
}

function interrupted(rows: ReadonlyMap<string, Row>, keys: readonly string[]): AttuneError {
  return new AttuneError('RUN_INTERRUPTED', {
    found: `${keys.filter((key) => rows.has(key)).length} of ${keys.length} rows done and kept`,
    hint: 'Run the same command again to go on from there',
  });
}
