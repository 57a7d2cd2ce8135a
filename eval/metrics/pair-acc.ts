/** Right verdicts, of the two that each pair gets: as given and swapped. */
import { defineMetric, partialShare } from './metric.ts';

export const pairAcc = defineMetric({
  name: 'pair_acc',
  ...partialShare,
  of: { pair: ({ right }) => [right, 2] },
});
