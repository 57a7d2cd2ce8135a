/** A scored file: what each item adds to each metric, and the numbers with their uncertainty that come of it. */
import { AttuneError } from '../../errors.ts';
import type { MetricName } from '../metrics/index.ts';
import type { Terms } from '../metrics/metric.ts';
import { compare, type Measured, type MetricDelta, type MetricValue, measure } from '../runner/measure.ts';
import { adjust } from '../runner/report.ts';

export interface ScoredItem extends Measured {
  id: string;
  terms: Record<string, [number, number]>;
  /** What a reader wants to see of the item: mentions, verdicts. */
  details: Record<string, unknown>;
}

export interface ScoredSet {
  /** As tables call it. */
  name: string;
  metrics: readonly MetricName[];
  items: readonly ScoredItem[];
  /** Sums over all items: mentions, unparsable answers. */
  counts: Record<string, number>;
}

export interface SetReport {
  name: string;
  n: number;
  metrics: Partial<Record<MetricName, MetricValue>>;
  counts: Record<string, number>;
  /** Against the baseline, over the items that both have. */
  delta?: Partial<Record<MetricName, MetricDelta>>;
}

export interface SetOptions {
  seed: number;
  resamples: number;
}

/** Terms as rows carry them. */
export const rowTerms = (terms: Readonly<Record<string, Terms>>): Record<string, [number, number]> =>
  Object.fromEntries(Object.entries(terms).map(([metric, [n, d]]) => [metric, [n, d]]));

/**
 * Each set against its baseline, if it has one; p-values corrected over the sets, metric by metric.
 * @throws AttuneError RUN_PAIRS when a set and its baseline share no item
 */
export function reportSets(
  sets: readonly ScoredSet[],
  baselineOf: (set: ScoredSet, index: number) => ScoredSet | undefined,
  options: SetOptions,
): SetReport[] {
  const reports = sets.map((set, i) => reportSet(set, baselineOf(set, i), options));
  for (const metric of new Set(sets.flatMap(({ metrics }) => metrics))) {
    adjust(reports.map(({ delta }) => delta?.[metric]));
  }
  return reports;
}

function reportSet(set: ScoredSet, baseline: ScoredSet | undefined, options: SetOptions): SetReport {
  const { name, items, metrics, counts } = set;
  const of = (metric: MetricName) => ({ seed: `${options.seed}/${metric}`, resamples: options.resamples });
  const entries = <T>(read: (metric: MetricName) => T | undefined) =>
    Object.fromEntries(
      metrics.flatMap((metric) => {
        const value = read(metric);
        return value === undefined ? [] : [[metric, value]];
      }),
    );
  const report = {
    name,
    n: items.length,
    metrics: entries((metric) => measure(items, metric, of(metric))),
    counts,
  };
  if (!baseline) return report;
  const before = new Map(baseline.items.map((item) => [item.id, item]));
  const after = items.filter(({ id }) => before.has(id));
  if (after.length === 0) {
    throw new AttuneError('RUN_PAIRS', {
      at: `${name} against ${baseline.name}`,
      found: 'no item in common',
      expected: 'the same images or questions',
    });
  }
  const pairs = after.map(({ id }) => before.get(id)!);
  const delta = entries((metric) => compare(pairs, after, metric, of(metric)));
  return { ...report, delta };
}

/** All sets as one, so that images which occur in several are one cluster. */
export function together(name: string, sets: readonly ScoredSet[]): ScoredSet {
  const counts: Record<string, number> = {};
  for (const [key, n] of sets.flatMap((set) => Object.entries(set.counts)))
    counts[key] = (counts[key] ?? 0) + n;
  const items = sets.flatMap((set, i) => set.items.map((item) => ({ ...item, id: `${i}/${item.id}` })));
  const images = counts.images !== undefined && { images: new Set(items.map(({ cluster }) => cluster)).size };
  return { name, metrics: sets[0]!.metrics, items, counts: { ...counts, ...images } };
}
