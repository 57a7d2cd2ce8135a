/** Accuracy by log-likelihood per code point of the option (lm-evaluation-harness). */
import { accuracy, defineMetric, oneIf } from './metric.ts';
import { rightBy } from './outcomes.ts';

export const accNorm = defineMetric({
  name: 'acc_norm',
  ...accuracy,
  of: { choices: (outcome) => oneIf(rightBy(outcome, (l, { text }) => l / [...text].length)) },
});
