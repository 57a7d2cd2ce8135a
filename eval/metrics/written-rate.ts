/** The share of items of which greedy decoding would write some option: 1 less the share of unparsable answers of `acc_written`. */
import { accuracy, defineMetric, oneIf } from './metric.ts';

export const writtenRate = defineMetric({
  name: 'written_rate',
  ...accuracy,
  needsGreedy: true,
  of: { choices: ({ greedy }) => greedy && oneIf(greedy.some((written) => written)) },
});
