/** The share of pairs judged right in both orders; by chance 1/4. */
import { accuracy, defineMetric, oneIf } from './metric.ts';

export const pairAccStrict = defineMetric({
  name: 'pair_acc_strict',
  ...accuracy,
  of: { pair: ({ right }) => oneIf(right === 2) },
});
