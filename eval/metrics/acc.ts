/** The share of items that are right: the likeliest option, a continuation that greedy decoding writes, a written yes or no. */
import { accuracy, defineMetric, oneIf } from './metric.ts';
import { rightBy } from './outcomes.ts';

export const acc = defineMetric({
  name: 'acc',
  ...accuracy,
  of: {
    choices: (outcome) => oneIf(rightBy(outcome, (l) => l)),
    continuation: ({ logLikelihood, greedy }) => oneIf(!Number.isNaN(logLikelihood) && greedy),
    yesNo: ({ said, label }) => oneIf(said === label),
  },
});
