/** Words of what was written, the mean over items. */
import { defineMetric, mean } from './metric.ts';
import { bestOf } from './outcomes.ts';

const wordsOf = (answer: string): number => answer.split(/\s+/).filter((word) => word !== '').length;

export const length = defineMetric({
  name: 'length',
  ...mean,
  of: {
    written: (outcome) => [bestOf(outcome, wordsOf), 1],
    caption: ({ words }) => [words, 1],
    amber: ({ words }) => [words, 1],
  },
});
