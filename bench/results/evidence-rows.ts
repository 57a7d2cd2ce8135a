/** From rows: whom a "yes" to what is not there was about, and what captions imagine. */
import {
  companionOf,
  KINDS,
  type Kind,
  NEGATIVES,
  PAIRS,
  pictureItems,
} from '../../eval/data/worlds/pictures/index.ts';

interface Row {
  readonly setting: string;
  readonly item: string;
  readonly text: string;
  readonly absent?: readonly string[];
  readonly terms: Readonly<Record<string, readonly [number, number]>>;
}

/** What an absent kind is to the picture. */
export type Relation = 'inseparable' | 'usual' | 'other';

const inseparable = (kind: Kind): boolean =>
  PAIRS.findIndex((pair) => (pair as readonly Kind[]).includes(kind)) % 2 === 0;

export function relationOf(kind: Kind, present: readonly Kind[]): Relation {
  if (!present.includes(companionOf(kind))) return 'other';
  return inseparable(kind) ? 'inseparable' : 'usual';
}

export interface Share {
  /** Of n. */
  readonly count: number;
  readonly n: number;
}

const parse = (text: string): Row[] =>
  text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Row);

/** Settings of one kind have parameters in their labels where a file has several. */
const methodOf = ({ setting }: Row): string => setting.split(' ')[0]!;

/**
 * "Yes" where the kind is absent, by relation, and where it is present; every question once, over the three sets of negatives.
 * @returns by method
 */
export function existenceRows(rowsOf: (task: string) => string): Record<string, Record<string, Share>> {
  const seen = new Map<string, Map<string, { relation: string; yes: boolean }>>();
  for (const negatives of NEGATIVES) {
    const items = new Map(
      pictureItems('existence', 'test', 600, 0, { negatives }).map((item) => [item.id, item]),
    );
    for (const row of parse(rowsOf(`worlds-existence-${negatives}-written`))) {
      const item = items.get(row.item);
      if (!item) continue;
      const relation = item.gold === 0 ? 'present' : relationOf(item.asked!, item.present);
      const own = seen.get(methodOf(row)) ?? new Map();
      own.set(`${item.cluster} ${item.asked}`, { relation, yes: row.terms.yes_rate![0] === 1 });
      seen.set(methodOf(row), own);
    }
  }
  return Object.fromEntries(
    [...seen].map(([method, answers]) => {
      const shares: Record<string, { count: number; n: number }> = {};
      for (const { relation, yes } of answers.values()) {
        shares[relation] ??= { count: 0, n: 0 };
        shares[relation].n++;
        if (yes) shares[relation].count++;
      }
      return [method, shares];
    }),
  );
}

/** Kinds named though absent, by relation, and mentions of what is there, for each caption. */
export function captionRows(rows: string): Record<string, Record<string, number>> {
  const items = new Map(
    pictureItems('caption', 'test', 520, 0, { length: 'medium' }).map((one) => [one.id, one]),
  );
  const sums = new Map<string, Record<string, number>>();
  for (const row of parse(rows)) {
    const item = items.get(row.item);
    if (!item) continue;
    const own = sums.get(methodOf(row)) ?? {
      captions: 0,
      inseparable: 0,
      usual: 0,
      other: 0,
      named: 0,
      present: 0,
    };
    own.captions!++;
    own.present! += item.present.length;
    own.named! += row.terms.recall![0];
    for (const kind of row.absent ?? []) {
      if ((KINDS as readonly string[]).includes(kind)) own[relationOf(kind as Kind, item.present)]!++;
    }
    sums.set(methodOf(row), own);
  }
  return Object.fromEntries(sums);
}
