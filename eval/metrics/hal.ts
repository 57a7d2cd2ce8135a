/** AMBER's Hal: the share of descriptions with a noun that is not in the picture. */
import { accuracy, defineMetric, oneIf } from './metric.ts';

export const hal = defineMetric({
  name: 'hal',
  ...accuracy,
  better: 'lower',
  of: { amber: ({ hallucinated }) => oneIf(hallucinated.length > 0) },
});
