/**
 * Runs models × tasks × settings over items and writes a row for each. Items are outermost, in the order of the sample, settings
 * inside: a run that is cut short has compared every setting on a random part of the items. This process alone writes rows, whoever computes them.
 */
import { AttuneError } from '../../errors.ts';
import type { Task } from '../tasks/definition.ts';
import type { LoadedItems } from '../tasks/items.ts';
import { progress } from './progress.ts';
import { type Row, rowKey } from './row.ts';
import type { RowFile } from './row-file.ts';
import type { Scorer } from './scorer.ts';
import type { Setting } from './setting.ts';

export interface RunTask extends LoadedItems {
  task: Task;
}

export interface RunOptions {
  /** Count items that cannot be scored instead of stopping at the first. Default false. */
  skipBad?: boolean | undefined;
  /** Stops the run after the row under way. */
  signal?: AbortSignal | undefined;
  /** Rows that are to come after those of this task, for the time that is left. Default 0. */
  later?: number | undefined;
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

/** By item and setting. */
export const rowKeys = (fingerprint: string, { task, items }: RunTask, settings: readonly Setting[]) =>
  items.map((item) => settings.map((setting) => rowKey(fingerprint, task, item, setting)));

/**
 * Rows that `file` has already are not computed again.
 * @throws AttuneError RUN_INTERRUPTED; with the item's place SCORE_*; MODEL_OUTPUT; WORKER_DIED; JOURNAL_WRITE.
 */
export async function runTask(
  scorer: Scorer,
  task: RunTask,
  settings: readonly Setting[],
  file: RowFile,
  { skipBad = false, signal, later, stream }: RunOptions = {},
): Promise<TaskRows> {
  const keys = rowKeys(scorer.fingerprint, task, settings);
  const bar = progress({
    label: `${scorer.name} ${task.task.name}`,
    total: keys.length * settings.length,
    done: keys.flat().filter((key) => file.rows.has(key)).length,
    later,
    ...(stream && { stream }),
  });
  const estimate = runningEstimate(task.task, settings);
  // A run cut short has made a random part of the items, which is what a smaller limit takes.
  const indices = task.order.values();
  let failure: { error: unknown } | undefined;

  const runItem = async (i: number) => {
    const own = keys[i]!;
    const missing = [...settings.keys()].filter((j) => {
      const known = file.rows.get(own[j]!);
      if (known) estimate.add(j, known);
      return !known;
    });
    if (missing.length === 0) return;
    const stopped = () => {
      if (signal?.aborted) throw interrupted(file.rows, keys.flat());
    };
    stopped();
    const job = {
      task: task.task,
      item: task.items[i]!,
      settings: missing.map((j) => settings[j]!),
      skipBad,
    };
    let done = 0;
    for await (const scored of scorer.score(job)) {
      const j = missing[done++]!;
      const row = { key: own[j]!, ...scored };
      file.append(row);
      estimate.add(j, row);
      bar.step(estimate.text());
      if (done < missing.length) stopped();
    }
  };
  const lane = async () => {
    for (const i of indices) {
      if (failure) return;
      await runItem(i).catch((error: unknown) => {
        failure ??= { error };
      });
    }
  };
  try {
    await Promise.all(Array.from({ length: scorer.lanes }, lane));
    if (failure) throw (failure as { error: unknown }).error;
  } finally {
    bar.end();
    await scorer.rest();
  }
  const rows = keys.map((row) => row.map((key) => file.rows.get(key)!));
  return { model: scorer.name, task, settings, rows };
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
