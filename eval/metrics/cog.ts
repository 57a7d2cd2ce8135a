/** AMBER's Cog: of the nouns of descriptions, those that are not there and that annotators expected to be imagined. */
import { defineMetric, shareOfSome } from './metric.ts';

export const cog = defineMetric({
  name: 'cog',
  ...shareOfSome,
  better: 'lower',
  of: { amber: ({ expected, nouns }) => [expected, nouns.length] },
});
