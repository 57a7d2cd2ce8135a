/** Accuracy by ln p(option | prompt) − ln p(option), the pointwise mutual information of option and prompt. */
import { accuracy, defineMetric, oneIf } from './metric.ts';
import { rightBy } from './outcomes.ts';

export const accMutualInfo = defineMetric({
  name: 'acc_mutual_info',
  ...accuracy,
  of: { choices: (outcome) => oneIf(rightBy(outcome, (l, _, u) => l - u)) },
});
