/** CHAIR_I (Rohrbach et al., 2018): of all mentions of objects, those of objects that are not there; repetitions count. */
import { defineMetric, shareOfSome } from './metric.ts';

export const chairI = defineMetric({
  name: 'chair_i',
  ...shareOfSome,
  better: 'lower',
  of: { caption: ({ hallucinated, mentions }) => [hallucinated.length, mentions.length] },
});
