/** Numbers as people read them: shares in percent, perplexities with four figures, p-values with three places. */
import { type MetricName, metrics } from '../metrics/index.ts';

export const isShare = (metric: string): boolean => metrics[metric as MetricName].share;

export const number = (metric: string, value: number): string =>
  isShare(metric) ? (100 * value).toFixed(1) : figures(value, 4);

const figures = (value: number, count: number): string => value.toPrecision(count).replace('e+', 'e');

/** A difference: three figures where it is no share. */
export const signed = (metric: string, value: number): string =>
  `${value < 0 ? '−' : '+'}${isShare(metric) ? number(metric, Math.abs(value)) : figures(Math.abs(value), 3)}`;

/** @param show `number` or `signed` */
export const range = (
  metric: string,
  { low, high }: { low: number | null; high: number | null },
  show = number,
): string => (low === null || high === null ? '–' : `${show(metric, low)} … ${show(metric, high)}`);

export const probability = (p: number | null): string =>
  p === null ? '–' : p < 0.001 ? p.toExponential(0) : p.toFixed(3);

/** Unit of a metric for the head of a column or an axis. */
export const unit = (metric: string): string => (isShare(metric) ? ' (%)' : '');
export const differenceUnit = (metric: string): string => (isShare(metric) ? ' (points)' : '');
