/** The share of answers that are yes, whatever is right. */
import { accuracy, defineMetric, oneIf } from './metric.ts';

export const yesRate = defineMetric({
  name: 'yes_rate',
  ...accuracy,
  better: 'neither',
  of: { yesNo: ({ said }) => oneIf(said === true) },
});
