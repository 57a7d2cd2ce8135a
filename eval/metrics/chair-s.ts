/** CHAIR_S (Rohrbach et al., 2018): the share of captions that name an object which is not there. */
import { accuracy, defineMetric, oneIf } from './metric.ts';

export const chairS = defineMetric({
  name: 'chair_s',
  ...accuracy,
  better: 'lower',
  of: { caption: ({ hallucinated }) => oneIf(hallucinated.length > 0) },
});
