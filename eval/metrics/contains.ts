/** The share of written answers that contain one of the right ones. */
import { accuracy, defineMetric } from './metric.ts';
import { bestOf } from './outcomes.ts';

export const contains = defineMetric({
  name: 'contains',
  ...accuracy,
  of: {
    written: (outcome) => [
      bestOf(outcome, (answer, right) => Number(right !== '' && answer.includes(right))),
      1,
    ],
  },
});
