/**
 * From rows to a report of every run. A pure function of the rows and the options: the same rows give the same report,
 * byte for byte, in whatever order and in however many sittings they were computed. It holds no time; see `costs`.
 */

import type { MetricName } from '../metrics/index.ts';
import { holm } from '../statistics/holm.ts';
import { compare, type MetricDelta, type MetricValue, measure } from './measure.ts';
import type { Row } from './row.ts';
import type { TaskRows } from './run.ts';

/** Some items of a task: their metrics, and the differences to the baseline on the same items. */
export interface PartReport {
  /** Items scored. */
  n: number;
  /** Metrics by name. */
  metrics: Partial<Record<MetricName, MetricValue>>;
  /** Empty for the baseline. */
  delta: Partial<Record<MetricName, MetricDelta>>;
}

/** One setting of one model on one task. */
export interface RunReport extends PartReport {
  /** The model's name. */
  model: string;
  /** The task's name. */
  task: string;
  /** The setting's label; baseline for none. */
  intervention: string;
  /** Its interventions as JSON. */
  specification: Record<string, unknown>[];
  /** Hash of the specification. */
  specHash: string;
  /** Items whose output could not be scored: wrong in accuracies, left out of perplexities. */
  unparsable: number;
  /** Bad records of the data and items that could not be posed to the model, with --skip-bad. */
  skipped: number;
  /** Items cut off at the left to fit the model. */
  truncated: number;
  /** Tokens that went through the model, those it would have been without sharing, and calls. */
  cost: { tokens: number; unsharedTokens: number; calls: number };
  /** Where the task tells its items apart, in alphabetical order. */
  slices?: (PartReport & { slice: string })[];
  /** Where the task says at which place the answer lies, in ascending order. */
  positions?: (PartReport & { position: number })[];
}

export interface ReportOptions {
  seed: number;
  resamples: number;
}

/** One entry for each setting of each model and task; the first setting is the baseline. */
export function reportRuns({ model, task, settings, rows }: TaskRows, options: ReportOptions): RunReport[] {
  const { name, metrics } = task.task;
  const whole = partsOf(rows, metrics, name, options);
  const slices = grouped(
    rows,
    ({ slice }) => slice,
    (a, b) => (a < b ? -1 : 1),
  );
  const positions = grouped(
    rows,
    ({ position }) => position,
    (a, b) => a - b,
  );
  const bySlice = slices.map(([slice, of]) => ({
    slice,
    parts: partsOf(of, metrics, `${name}/slice/${slice}`, options),
  }));
  const byPosition = positions.map(([position, of]) => ({
    position,
    parts: partsOf(of, metrics, `${name}/position/${position}`, options),
  }));
  for (const families of [[whole], bySlice.map(({ parts }) => parts), byPosition.map(({ parts }) => parts)]) {
    for (const metric of metrics) adjust(families.flat().map(({ delta }) => delta[metric]));
  }
  return settings.map(({ label, interventions, specHash }, j) => {
    const column = rows.map((row) => row[j]!);
    const sum = (of: (row: Row) => number) => column.reduce((total, row) => total + of(row), 0);
    return {
      model,
      task: name,
      intervention: label,
      specification: interventions.map((intervention) => intervention.toJSON()),
      specHash,
      ...whole[j]!,
      unparsable: sum(({ unparsable }) => Number(unparsable)),
      skipped: task.bad.length + sum(({ skipped }) => Number(skipped !== undefined)),
      truncated: sum(({ truncated }) => Number(truncated)),
      cost: {
        tokens: sum(({ cost }) => cost.tokens),
        unsharedTokens: sum(({ cost }) => cost.unsharedTokens),
        calls: sum(({ cost }) => cost.calls),
      },
      ...(bySlice.length > 1 && { slices: bySlice.map(({ slice, parts }) => ({ slice, ...parts[j]! })) }),
      ...(byPosition.length > 1 && {
        positions: byPosition.map(({ position, parts }) => ({ position, ...parts[j]! })),
      }),
    };
  });
}

/** One part for each setting. */
function partsOf(
  rows: readonly Row[][],
  metrics: readonly MetricName[],
  name: string,
  { seed, resamples }: ReportOptions,
): PartReport[] {
  const columns = (rows[0] ?? []).map((_, j) => rows.map((row) => row[j]!));
  return columns.map((column, j) => {
    const scored = column.filter(({ skipped }) => skipped === undefined);
    const of = (metric: MetricName) => ({ seed: `${seed}/${name}/${metric}`, resamples });
    return {
      n: scored.length,
      metrics: entries(metrics, (metric) => measure(scored, metric, of(metric))),
      delta: j === 0 ? {} : entries(metrics, (metric) => compare(columns[0]!, column, metric, of(metric))),
    };
  });
}

/** Items by what their first row says; those that say nothing are in no group. */
function grouped<K>(
  rows: readonly Row[][],
  keyOf: (row: Row) => K | undefined,
  order: (a: K, b: K) => number,
): [K, Row[][]][] {
  const groups = new Map<K, Row[][]>();
  for (const row of rows) {
    const key = keyOf(row[0]!);
    if (key === undefined) continue;
    const group = groups.get(key);
    if (group) group.push(row);
    else groups.set(key, [row]);
  }
  return [...groups].sort(([a], [b]) => order(a, b));
}

/** Holm's correction over tests that are read together. */
export function adjust(deltas: readonly (MetricDelta | undefined)[]): void {
  const family = deltas.filter((delta): delta is MetricDelta & { p: number } => delta?.p != null);
  const adjusted = holm(family.map(({ p }) => p));
  family.forEach((delta, i) => {
    delta.pHolm = adjusted[i]!;
  });
}

/** Metrics that no row has terms for are left out. */
export function entries<T>(
  metrics: readonly MetricName[],
  of: (metric: MetricName) => T | undefined,
): Partial<Record<MetricName, T>> {
  return Object.fromEntries(
    metrics.map((metric) => [metric, of(metric)]).filter(([, value]) => value !== undefined),
  );
}
