/** Verdicts for the answer shown first; a judge without position bias gives 1/2. */
import { defineMetric, partialShare } from './metric.ts';

export const firstRate = defineMetric({
  name: 'first_rate',
  ...partialShare,
  better: 'neither',
  of: {
    pair: ({ verdicts }) =>
      verdicts.includes(undefined) ? undefined : [verdicts.filter((verdict) => verdict === 0).length, 2],
  },
});
