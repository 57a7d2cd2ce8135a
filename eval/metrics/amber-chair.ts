/** AMBER's CHAIR (Wang et al., arXiv 2311.07397): of the nouns of descriptions, those that are not in the picture. */
import { defineMetric, shareOfSome } from './metric.ts';

export const amberChair = defineMetric({
  name: 'amber_chair',
  ...shareOfSome,
  better: 'lower',
  of: { amber: ({ hallucinated, nouns }) => [hallucinated.length, nouns.length] },
});
