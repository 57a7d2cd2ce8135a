/** The share of pairs of which the same answer is preferred in both orders. */
import { accuracy, defineMetric, oneIf } from './metric.ts';

export const consistency = defineMetric({
  name: 'consistency',
  ...accuracy,
  of: {
    // The answer at one place in one order is at the other place in the other.
    pair: ({ verdicts: [given, swapped] }) =>
      oneIf(given !== undefined && swapped !== undefined && given !== swapped),
  },
});
