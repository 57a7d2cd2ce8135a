/** The share of written answers that are, after normalisation, one of the right ones. */
import { accuracy, defineMetric } from './metric.ts';
import { bestOf } from './outcomes.ts';

export const exactMatch = defineMetric({
  name: 'exact_match',
  ...accuracy,
  of: { written: (outcome) => [bestOf(outcome, (answer, right) => Number(answer === right)), 1] },
});
