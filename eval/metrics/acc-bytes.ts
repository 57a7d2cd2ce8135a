/** Accuracy by log-likelihood per UTF-8 byte of the option. */
import { accuracy, defineMetric, oneIf } from './metric.ts';
import { rightBy } from './outcomes.ts';

export const accBytes = defineMetric({
  name: 'acc_bytes',
  ...accuracy,
  of: { choices: (outcome) => oneIf(rightBy(outcome, (l, { text }) => l / Buffer.byteLength(text))) },
});
