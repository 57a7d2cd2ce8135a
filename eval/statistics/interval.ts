/** A value with the interval it comes with. */
export interface Interval {
  value: number;
  low: number;
  high: number;
}
