/** What a metric is. */

/** An item's contribution to numerator and denominator. */
export type Terms = readonly [numerator: number, denominator: number];

export interface MetricKind {
  /** 'neither': a rate with a point of balance. */
  better: 'higher' | 'lower' | 'neither';
  /** Each item contributes 0 or 1 over 1: Wilson's interval and McNemar's test apply. */
  binary: boolean;
  /** A part of 1, shown in percent. */
  share: boolean;
  finish(ratio: number): number;
}
