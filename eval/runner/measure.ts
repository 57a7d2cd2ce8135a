/**
 * A metric over rows, with its interval; and its difference between two lists of rows of the same items, with a paired
 * test. The one place where rows become numbers: runs, slices, positions, comparisons and gates all come from here.
 */
import { type MetricName, metrics } from '../metrics/index.ts';
import { isMeanOfItems, type MetricKind, type Terms } from '../metrics/metric.ts';
import { bootstrapInterval, ratioOf, sumByCluster } from '../statistics/bootstrap.ts';
import { effectiveSize } from '../statistics/design-effect.ts';
import { discordance } from '../statistics/mcnemar.ts';
import { minimumDetectableEffect } from '../statistics/minimum-detectable-effect.ts';
import { pairedBootstrap } from '../statistics/paired-bootstrap.ts';
import { signFlipTest } from '../statistics/sign-flip.ts';
import { clusteredStandardError } from '../statistics/standard-error.ts';
import { tangoInterval } from '../statistics/tango.ts';
import { wilsonInterval } from '../statistics/wilson.ts';
import type { Row } from './row.ts';

/** What is measured of a row. */
export type Measured = Pick<Row, 'terms' | 'cluster'>;

/** A metric with its interval. */
export interface MetricValue {
  /** The metric itself. */
  value: number;
  /** 95 %: Wilson's for proportions, with the effective number of clustered items; else a bootstrap; null for a single unit. */
  low: number | null;
  /** The upper end of the interval. */
  high: number | null;
}

/** Intervals of differences: Tango's score interval for proportions, likewise; else the paired bootstrap. */
export interface MetricDelta extends MetricValue {
  /** Two-sided and exact for proportions (McNemar, by clusters where items share them), else the paired bootstrap. */
  p: number | null;
  /** p after Holm's correction over what is compared together; null until it is. */
  pHolm: number | null;
  /** Items scored on both sides. */
  n: number;
  /** Proportions: items that went from wrong to right. */
  gained?: number;
  /** Proportions: items that went from right to wrong. */
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
  metric: MetricName,
  { seed, resamples, level = 0.95 }: MeasureOptions,
): MetricValue | undefined {
  const { terms, clusters } = termsOf(rows, metric);
  if (terms.length === 0) return undefined;
  const kind = metrics[metric];
  const units = sumByCluster(terms, clusters);
  const value = kind.finish(ratioOf(units));
  if (units.length < 2 && terms.length > 1) return { value, low: null, high: null };
  if (isProportion(kind, terms)) return proportion(terms, clusters, level);
  if (units.length < 2) return { value, low: null, high: null };
  const interval = bootstrapInterval(units, { seed, resamples, level, finish: kind.finish });
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
  metric: MetricName,
  { seed, resamples, level = 0.95 }: MeasureOptions,
): MetricDelta | undefined {
  const both = after
    .map((row, i) => [before[i]!, row] as const)
    .filter((pair) => pair.every((row) => row.terms[metric]));
  if (both.length === 0) return undefined;
  const kind = metrics[metric];
  const [from, to] = [0, 1].map((side) =>
    termsOf(
      both.map((pair) => pair[side]!),
      metric,
    ),
  ) as [Sample, Sample];
  const right = ({ terms }: Sample) => terms.map(([numerator]) => numerator === 1);
  const changes = kind.binary && {
    ...discordance(right(from), right(to)),
    minimumDetectable: minimumDetectable(from, to),
  };
  const common = { pHolm: null, n: both.length, ...changes };
  const [one, other] = [from, to].map(({ terms }) => sumByCluster(terms, from.clusters)) as [
    Terms[],
    Terms[],
  ];
  if (one.length < 2 && both.length > 1) {
    const value = kind.finish(ratioOf(other)) - kind.finish(ratioOf(one));
    return { value, low: null, high: null, p: null, ...common };
  }
  if (isProportion(kind, [...from.terms, ...to.terms])) {
    return { ...proportionChange(from, to, level), ...common };
  }
  return { ...resampledChange(one, other, kind, { seed, resamples, level }), ...common };
}

/** What any ratio allows. */
function resampledChange(
  before: readonly Terms[],
  after: readonly Terms[],
  kind: MetricKind,
  { seed, resamples, level }: MeasureOptions & { level: number },
): MetricValue & { p: number | null } {
  const difference = pairedBootstrap(before, after, { seed, resamples, level, finish: kind.finish });
  if (before.length < 2) return { ...difference, low: null, high: null, p: null };
  if (!kind.share || difference.low < difference.high) return difference;
  const [gained, lost] = [Math.max(0, difference.value), Math.max(0, -difference.value)];
  const n = before.length;
  const { low, high } = tangoInterval({ gained: gained * n, lost: lost * n }, n, level);
  return { ...difference, low, high };
}

/** Items that contribute whole numbers over one and the same denominator: shares whose intervals need no resampling. */
function isProportion(kind: MetricKind, terms: readonly Terms[]): boolean {
  const [first] = terms;
  return isMeanOfItems(kind) && terms.every(([n, d]) => Number.isInteger(n) && d === first![1] && d > 0);
}

/** Wilson's interval, of as many independent items as the clusters are worth. */
function proportion(terms: readonly Terms[], clusters: Sample['clusters'], level: number): MetricValue {
  const values = terms.map(([n, d]) => n / d);
  const value = meanOf(values);
  const variance = (value * (1 - value)) / values.length;
  const n = effectiveSize(values, keysOf(clusters), { variance, parts: terms[0]![1], level });
  // Whole numbers stay whole where every item counts.
  const right = values.reduce((sum, one) => sum + one, 0) * (n / values.length);
  return { ...wilsonInterval(right, n, level), value };
}

/**
 * Tango's interval, of as many independent items as the clusters are worth, and the exact test; an interval of a difference that
 * the test does not find reaches zero.
 */
function proportionChange(from: Sample, to: Sample, level: number): MetricValue & { p: number } {
  const n = to.terms.length;
  const keys = keysOf(from.clusters);
  const differences = to.terms.map(([numerator, d], i) => (numerator - from.terms[i]![0]) / d);
  const [gained, lost] = [1, -1].map((sign) =>
    differences.reduce((sum, d) => sum + Math.max(0, sign * d), 0),
  ) as [number, number];
  const variance = (gained + lost - (gained - lost) ** 2 / n) / n ** 2;
  const share = effectiveSize(differences, keys, { variance, parts: to.terms[0]![1], level }) / n;
  const interval = tangoInterval({ gained: gained * share, lost: lost * share }, n * share, level);
  const whole = to.terms.map(([numerator, d], i) => [numerator - from.terms[i]![0], d] as const);
  const p = signFlipTest(sumByCluster(whole, keys).map(([sum]) => sum));
  const value = (gained - lost) / n;
  if (p < 1 - level) return { ...interval, value, p };
  return { value, low: Math.min(0, interval.low), high: Math.max(0, interval.high), p };
}

const meanOf = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

/** Without a key an item is its own cluster. */
const keysOf = (clusters: Sample['clusters']): string[] =>
  clusters.map((cluster, i) => (cluster === undefined ? `item ${i}` : `cluster ${cluster}`));

interface Sample {
  terms: Terms[];
  clusters: (string | undefined)[];
}

function termsOf(rows: readonly Measured[], metric: MetricName): Sample {
  const having = rows.filter((row) => row.terms[metric]);
  return { terms: having.map((row) => row.terms[metric]!), clusters: having.map(({ cluster }) => cluster) };
}

/** From the error of the paired difference, at least that of one changed item: no change seen is not no error. */
function minimumDetectable(before: Sample, after: Sample): number {
  const differences = after.terms.map(([right], i) => right - before.terms[i]![0]);
  const keys = keysOf(before.clusters);
  return minimumDetectableEffect(Math.max(clusteredStandardError(differences, keys), 1 / differences.length));
}
