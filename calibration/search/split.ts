/** Items to search on and items to report on, which share nothing: clusters go to one side whole. */
import { AttuneError } from '../../errors.ts';
import { sha256 } from '../../onnx/sha256.ts';
import type { CalibrationItem } from './objective.ts';

export interface SplitOptions {
  /** Items to search on, of each data set; the cluster that reaches the number is taken whole. */
  readonly samples: number;
  /** At most so many items to report on, of each data set. */
  readonly heldOut: number;
  readonly seed: number;
}

export interface Split {
  readonly search: readonly CalibrationItem[];
  readonly heldOut: readonly CalibrationItem[];
}

/** Fewer items than this say nothing about a head. */
export const FEWEST = 10;

/**
 * Clusters in the order of their hashes with the seed, so that the sample depends on seed and content alone; each side in
 * the order of the items.
 * @throws AttuneError CALIBRATION_TOO_FEW
 */
export function splitItems(items: readonly CalibrationItem[], options: SplitOptions): Split {
  const datasets = new Map<string, CalibrationItem[]>();
  for (const item of items) datasets.set(item.dataset, [...(datasets.get(item.dataset) ?? []), item]);
  if (datasets.size === 0) throw tooFew('no items at all', options);
  const sides = [...datasets].map(([name, own]) => splitOne(name, own, options));
  return {
    search: sides.flatMap(({ search }) => search),
    heldOut: sides.flatMap(({ heldOut }) => heldOut),
  };
}

function splitOne(name: string, items: readonly CalibrationItem[], options: SplitOptions): Split {
  const { samples, heldOut, seed } = options;
  const clusters = new Map<string, CalibrationItem[]>();
  for (const item of items) {
    const key = item.cluster ?? `item ${item.id}`;
    clusters.set(key, [...(clusters.get(key) ?? []), item]);
  }
  const rank = (key: string) => sha256(`${seed}/${name}/${key}`);
  const ranked = [...clusters].map(([key, own]) => ({ own, rank: rank(key) }));
  ranked.sort((a, b) => (a.rank < b.rank ? -1 : 1));
  const search = new Set<CalibrationItem>();
  const report = new Set<CalibrationItem>();
  for (const { own } of ranked) {
    const side = search.size < samples ? search : report;
    if (side === report && report.size + own.length > heldOut) continue;
    for (const item of own) side.add(item);
  }
  if (search.size < samples || report.size < FEWEST || samples < FEWEST) {
    throw tooFew(`${items.length} items in ${clusters.size} clusters of ${name}`, options);
  }
  return {
    search: items.filter((item) => search.has(item)),
    heldOut: items.filter((item) => report.has(item)),
  };
}

function tooFew(found: string, { samples }: SplitOptions): AttuneError {
  return new AttuneError('CALIBRATION_TOO_FEW', {
    found: samples < FEWEST ? `a search on ${samples} items` : found,
    expected:
      samples < FEWEST
        ? `at least ${FEWEST}`
        : `${samples} to search on and at least ${FEWEST} others to report on`,
    hint: 'Heads are not judged by the items they were chosen on: give more data, or fewer --samples.',
  });
}
