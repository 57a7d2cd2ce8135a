/**
 * What a metric is. Every metric is a ratio of sums over items, finished by a function: accuracies are Σ right / Σ 1,
 * perplexities exp(Σ −ln p / Σ words). One form, so one bootstrap serves them all. A metric is a file beside this one: what an
 * item's outcome adds to the sums, and how the ratio is read, together.
 */
import type { Outcomes } from './outcomes.ts';

/** An item's contribution to numerator and denominator. */
export type Terms = readonly [numerator: number, denominator: number];

/** How the ratio of a metric is read. */
export interface MetricKind {
  /** 'neither': a rate with a point of balance. */
  readonly better: 'higher' | 'lower' | 'neither';
  /** Each item contributes 0 or 1 over 1: Wilson's interval and McNemar's test apply. */
  readonly binary: boolean;
  /** A part of 1, shown in percent. */
  readonly share: boolean;
  finish(ratio: number): number;
}

export interface Metric<Name extends string = string> extends MetricKind {
  /** As lm-evaluation-harness or the metric's paper calls it. */
  readonly name: Name;
  /** Whether it asks what greedy decoding would write, which a search over settings does not know. Default false. */
  readonly needsGreedy?: boolean;
  /** Kind of outcome → what one of that kind adds; undefined: nothing, the item is left out. */
  readonly of: { readonly [K in keyof Outcomes]?: (outcome: Outcomes[K]) => Terms | undefined };
}

/** Keeps the name's type. */
export const defineMetric = <const Name extends string>(metric: Metric<Name>): Metric<Name> => metric;

const asIs = (ratio: number): number => ratio;

/** A share of items, each right or wrong. */
export const accuracy: MetricKind = { better: 'higher', binary: true, share: true, finish: asIs };
/** A share to which an item may contribute a part. */
export const partialShare: MetricKind = { ...accuracy, binary: false };
/** A share of some of what items contribute, which may be none: 0 of 0 is 0, as in the papers' tables. */
export const shareOfSome: MetricKind = {
  ...partialShare,
  finish: (ratio) => (Number.isNaN(ratio) ? 0 : ratio),
};
/** A mean of numbers that are no share. */
export const mean: MetricKind = { better: 'neither', binary: false, share: false, finish: asIs };
/** exp of a mean of −ln p. */
export const perplexityKind: MetricKind = { better: 'lower', binary: false, share: false, finish: Math.exp };

/** Whether every item has the same part in the whole, so that the share is a mean over items. */
export const isMeanOfItems = ({ share, finish }: MetricKind): boolean => share && finish === asIs;

/** 1 of 1, or 0 of 1. */
export const oneIf = (right: boolean): Terms => [right ? 1 : 0, 1];
