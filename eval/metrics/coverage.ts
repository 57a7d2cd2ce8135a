/** The mean over captions of the objects found over those there: a caption that says less does not win by it. */
import { defineMetric, shareOfSome } from './metric.ts';

export const coverage = defineMetric({
  name: 'coverage',
  ...shareOfSome,
  // A picture without a known object cannot be covered, nor left uncovered.
  of: { caption: ({ found, there }) => (there > 0 ? [found / there, 1] : [0, 0]) },
});
