/**
 * The share of items whose right option greedy decoding would write, token by token: what is counted where an answer is written and
 * read again, as in papers that let a model classify. An item of which no option would be written counts as wrong, whatever the
 * log-likelihoods say; `written_rate` is the share of the others.
 */
import { accuracy, defineMetric, oneIf } from './metric.ts';
import { isRight } from './outcomes.ts';

export const accWritten = defineMetric({
  name: 'acc_written',
  ...accuracy,
  needsGreedy: true,
  of: {
    choices: (outcome) =>
      outcome.greedy && oneIf(outcome.greedy.some((written, option) => written && isRight(outcome, option))),
  },
});
