/**
 * A metric over rows, with its interval; and its difference between two lists of rows of the same items, with a paired
 * test. The one place where rows become numbers: runs, slices, positions, comparisons and gates all come from here.
 */
import { type AnyMetric, metricKinds } from '../metrics/index.ts';
import type { MetricKind, Terms } from '../metrics/metric.ts';
import { bootstrapInterval, sumByCluster } from '../statistics/bootstrap.ts';
import { discordance, mcnemarExact } from '../statistics/mcnemar.ts';
import { minimumDetectableEffect } from '../statistics/minimum-detectable-effect.ts';
import { pairedBootstrap } from '../statistics/paired-bootstrap.ts';
import { clusteredStandardError } from '../statistics/standard-error.ts';
import { tangoInterval } from '../statistics/tango.ts';
import { wilsonInterval } from '../statistics/wilson.ts';
import type { Row } from './row.ts';

/** What is measured of a row. */
export type Measured = Pick<Row, 'terms' | 'cluster'>;

export interface MetricValue {
  value: number;
  /** 95 %: Wilson's for proportions of independent items, else a (clustered) bootstrap; null for a single unit. */
  low: number | null;
  high: number | null;
}

/** Intervals of differences: Tango's score interval for proportions of independent items, else the paired bootstrap. */
export interface MetricDelta extends MetricValue {
  /** Two-sided: McNemar exact for proportions of independent items, else the paired bootstrap. */
  p: number | null;
  /** p after Holm's correction over what is compared together; null until it is. */
  pHolm: number | null;
  /** Items scored on both sides. */
  n: number;
  /** Proportions: items that went from wrong to right, and from right to wrong. */
  gained?: number;
  lost?: number;
  /** Proportions: the smallest difference that this many items would show with power 0.8 at α = 0.05. */
  minimumDetectable?: number;
}

export interface MeasureOptions {
  /** Of the bootstrap; one for each number that is reported. */
  seed: string;
  resamples: number;
  /** Confidence, default 0.95. */
  level?: number | undefined;
}

/** undefined when no row has terms for the metric. */
export function measure(
  rows: readonly Measured[],
  metric: AnyMetric,
  { seed, resamples, level = 0.95 }: MeasureOptions,
): MetricValue | undefined {
  const { terms, clusters } = termsOf(rows, metric);
  if (terms.length === 0) return undefined;
  const kind = metricKinds[metric];
  if (independentBinary(kind, clusters)) {
    const right = terms.reduce((sum, [numerator]) => sum + numerator, 0);
    return wilsonInterval(right, terms.length, level);
  }
  const units = sumByCluster(terms, clusters);
  const interval = bootstrapInterval(units, { seed, resamples, level, finish: kind.finish });
  if (units.length < 2) return { ...interval, low: null, high: null };
  if (!kind.share || interval.low < interval.high) return interval;
  // Units that are all alike give a bootstrap nothing to vary, which is no certainty: no share of so many varies more
  // than a proportion.
  return { ...wilsonInterval(interval.value * units.length, units.length, level), value: interval.value };
}

/**
 * @param before, after the same items in the same order; those that one side has no terms for are left out.
 * @returns after − before; undefined when no item is left.
 */
export function compare(
  before: readonly Measured[],
  after: readonly Measured[],
  metric: AnyMetric,
  { seed, resamples, level = 0.95 }: MeasureOptions,
): MetricDelta | undefined {
  const both = after
    .map((row, i) => [before[i]!, row] as const)
    .filter((pair) => pair.every((row) => row.terms[metric]));
  if (both.length === 0) return undefined;
  const kind = metricKinds[metric];
  const [from, to] = [0, 1].map((side) =>
    termsOf(
      both.map((pair) => pair[side]!),
      metric,
    ),
  ) as [Sample, Sample];
  const right = ({ terms }: Sample) => terms.map(([numerator]) => numerator === 1);
  const changes = discordance(right(from), right(to));
  const proportion = kind.binary && { ...changes, minimumDetectable: minimumDetectable(from, to) };
  const common = { pHolm: null, n: both.length, ...proportion };
  if (independentBinary(kind, from.clusters)) {
    return { ...tangoInterval(changes, both.length, level), p: mcnemarExact(changes), ...common };
  }
  const units = sumByCluster(from.terms, from.clusters);
  const difference = pairedBootstrap(units, sumByCluster(to.terms, from.clusters), {
    seed,
    resamples,
    level,
    finish: kind.finish,
  });
  if (units.length < 2) return { ...difference, low: null, high: null, p: null, ...common };
  if (!kind.share || difference.low < difference.high) return { ...difference, ...common };
  const [gained, lost] = [Math.max(0, difference.value), Math.max(0, -difference.value)];
  const { low, high } = tangoInterval(
    { gained: gained * units.length, lost: lost * units.length },
    units.length,
    level,
  );
  return { ...difference, low, high, ...common };
}

interface Sample {
  terms: Terms[];
  clusters: (string | undefined)[];
}

function termsOf(rows: readonly Measured[], metric: AnyMetric): Sample {
  const having = rows.filter((row) => row.terms[metric]);
  return { terms: having.map((row) => row.terms[metric]!), clusters: having.map(({ cluster }) => cluster) };
}

/** Right or wrong, and no two items of one cluster. */
function independentBinary({ binary }: MetricKind, clusters: readonly (string | undefined)[]): boolean {
  const shared = clusters.filter((cluster) => cluster !== undefined);
  return binary && new Set(shared).size === shared.length;
}

/** From the error of the paired difference, at least that of one changed item: no change seen is not no error. */
function minimumDetectable(before: Sample, after: Sample): number {
  const differences = after.terms.map(([right], i) => right - before.terms[i]![0]);
  const keys = before.clusters.map((cluster, i) => cluster ?? `${i}`);
  return minimumDetectableEffect(Math.max(clusteredStandardError(differences, keys), 1 / differences.length));
}
