/** H2O, heavy hitters: keys that all rows so far gave most attention to. */
import type { Score } from './score.ts';

export const h2o: Score = {
  name: 'h2o',
  doc: 'keys with most attention so far',
  reference: 'Zhang et al., arXiv 2306.14048',
  parameters: {},
  reads: 'attention',
  attention: () => 'all',
  granularity: 'head',
  positions: 'true',
  of: ({ attention }) => attention,
};
