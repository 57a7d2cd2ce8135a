/**
 * From rows to numbers with their uncertainty. A pure function of the rows and the options: the same rows give the same
 * report, byte for byte, in whatever order and in however many sittings they were computed. It holds no time.
 */
import { type MetricKind, metricKinds, type Terms } from '../scoring/metrics.ts';
import { bootstrapInterval, sumByCluster } from '../statistics/bootstrap.ts';
import { holm } from '../statistics/holm.ts';
import { discordance, mcnemarExact } from '../statistics/mcnemar.ts';
import { minimumDetectableEffect } from '../statistics/minimum-detectable-effect.ts';
import { pairedBootstrap } from '../statistics/paired-bootstrap.ts';
import { clusteredStandardError } from '../statistics/standard-error.ts';
import { wilsonInterval } from '../statistics/wilson.ts';
import type { Metric } from '../tasks/definition.ts';
import type { Row } from './row.ts';
import type { TaskRows } from './run.ts';

export interface MetricValue {
  value: number;
  /** 95 %: Wilson's for proportions of independent items, else a (clustered) bootstrap; null for a single unit. */
  low: number | null;
  high: number | null;
}

export interface MetricDelta extends MetricValue {
  /** Two-sided: McNemar exact for proportions of independent items, else the paired bootstrap. */
  p: number | null;
  /** p after Holm's correction over the interventions compared on this task and metric. */
  pHolm: number | null;
  /** Items scored under both settings. */
  n: number;
  /** Proportions: items that went from wrong to right, and from right to wrong. */
  gained?: number;
  lost?: number;
  /** Proportions: the smallest difference that this many items would show with power 0.8 at α = 0.05. */
  minimumDetectable?: number;
}

export interface RunReport {
  model: string;
  task: string;
  intervention: string;
  specification: Record<string, unknown>[];
  specHash: string;
  /** Items scored. */
  n: number;
  metrics: Partial<Record<Metric, MetricValue>>;
  /** Against the untouched run on the same items; empty for the untouched run. */
  delta: Partial<Record<Metric, MetricDelta>>;
  /** Items whose output could not be scored: wrong in accuracies, left out of perplexities. */
  unparsable: number;
  /** Bad records of the data and items that could not be posed to the model, with --skip-bad. */
  skipped: number;
  /** Items cut off at the left to fit the model. */
  truncated: number;
  cost: { tokens: number; unsharedTokens: number; calls: number };
}

export interface ReportOptions {
  seed: number;
  resamples: number;
}

/** One entry for each setting of each model and task; the first setting is the untouched one. */
export function reportRuns({ model, task, settings, rows }: TaskRows, options: ReportOptions): RunReport[] {
  const { name, metrics } = task.task;
  const columns = settings.map((_, j) => rows.map((row) => row[j]!));
  const [base, ...others] = columns as [Row[], ...Row[][]];
  const scored = (column: Row[]) => column.filter(({ skipped }) => skipped === undefined);
  const values = (column: Row[]) =>
    entries(metrics, (metric) => valueIn(scored(column), metric, { ...options, name }));
  const compared = others.map((column) =>
    entries(metrics, (metric) => deltaIn(base, column, metric, { ...options, name })),
  );
  for (const metric of metrics) {
    const family = compared.map((delta) => delta[metric]).filter((delta) => delta?.p != null);
    const adjusted = holm(family.map((delta) => delta!.p!));
    family.forEach((delta, i) => {
      delta!.pHolm = adjusted[i]!;
    });
  }
  return columns.map((column, j) => {
    const { label, interventions, specHash } = settings[j]!;
    const sum = (of: (row: Row) => number) => column.reduce((total, row) => total + of(row), 0);
    return {
      model,
      task: name,
      intervention: label,
      specification: interventions.map((intervention) => intervention.toJSON()),
      specHash,
      n: scored(column).length,
      metrics: values(column),
      delta: j === 0 ? {} : compared[j - 1]!,
      unparsable: sum(({ unparsable }) => Number(unparsable)),
      skipped: task.bad.length + sum(({ skipped }) => Number(skipped !== undefined)),
      truncated: sum(({ truncated }) => Number(truncated)),
      cost: {
        tokens: sum(({ cost }) => cost.tokens),
        unsharedTokens: sum(({ cost }) => cost.unsharedTokens),
        calls: sum(({ cost }) => cost.calls),
      },
    };
  });
}

type Named = ReportOptions & { name: string };

/** Metrics that no row has terms for are left out. */
function entries<T>(
  metrics: readonly Metric[],
  of: (metric: Metric) => T | undefined,
): Partial<Record<Metric, T>> {
  return Object.fromEntries(
    metrics.map((metric) => [metric, of(metric)]).filter(([, value]) => value !== undefined),
  );
}

function valueIn(rows: Row[], metric: Metric, { seed, resamples, name }: Named): MetricValue | undefined {
  const { terms, clusters } = termsOf(rows, metric);
  if (terms.length === 0) return undefined;
  const kind = metricKinds[metric];
  if (independentBinary(kind, clusters)) {
    return wilsonInterval(
      terms.reduce((sum, [right]) => sum + right, 0),
      terms.length,
    );
  }
  const units = sumByCluster(terms, clusters);
  const { finish } = kind;
  const interval = bootstrapInterval(units, { seed: `${seed}/${name}/${metric}`, resamples, finish });
  return units.length > 1 ? interval : { ...interval, low: null, high: null };
}

function deltaIn(
  before: Row[],
  after: Row[],
  metric: Metric,
  { seed, resamples, name }: Named,
): MetricDelta | undefined {
  const both = after
    .map((row, i) => ({ before: before[i]!, after: row }))
    .filter((pair) => pair.before.terms[metric] && pair.after.terms[metric]);
  if (both.length === 0) return undefined;
  const kind = metricKinds[metric];
  const from = termsOf(
    both.map((pair) => pair.before),
    metric,
  );
  const to = termsOf(
    both.map((pair) => pair.after),
    metric,
  );
  const units = sumByCluster(from.terms, from.clusters);
  const { p: bootstrapP, ...difference } = pairedBootstrap(units, sumByCluster(to.terms, to.clusters), {
    seed: `${seed}/${name}/${metric}`,
    resamples,
    finish: kind.finish,
  });
  const single = units.length < 2;
  const interval = single ? { ...difference, low: null, high: null } : difference;
  const common = { ...interval, p: single ? null : bootstrapP, pHolm: null, n: both.length };
  if (!kind.binary) return common;

  const right = ({ terms }: typeof from) => terms.map(([numerator]) => numerator === 1);
  const changes = discordance(right(from), right(to));
  const independent = independentBinary(kind, from.clusters);
  return {
    ...common,
    ...(independent && { p: mcnemarExact(changes) }),
    ...changes,
    minimumDetectable: minimumDetectable(from.terms, to.terms, from.clusters),
  };
}

function termsOf(rows: readonly Row[], metric: Metric): { terms: Terms[]; clusters: (string | undefined)[] } {
  const having = rows.filter((row) => row.terms[metric]);
  return { terms: having.map((row) => row.terms[metric]!), clusters: having.map(({ cluster }) => cluster) };
}

const independentBinary = (kind: MetricKind, clusters: readonly (string | undefined)[]): boolean =>
  kind.binary && clusters.every((cluster) => cluster === undefined);

/** From the error of the paired difference, at least that of one changed item: no change seen is not no error. */
function minimumDetectable(
  before: readonly Terms[],
  after: readonly Terms[],
  clusters: readonly (string | undefined)[],
): number {
  const differences = after.map(([right], i) => right - before[i]![0]);
  const keys = clusters.map((cluster, i) => cluster ?? `${i}`);
  return minimumDetectableEffect(Math.max(clusteredStandardError(differences, keys), 1 / differences.length));
}
