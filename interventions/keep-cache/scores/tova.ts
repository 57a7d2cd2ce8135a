/** TOVA: keys that the newest token attends to, the mean over the heads of a layer. */
import type { Score } from './score.ts';

export const tova: Score = {
  name: 'tova',
  doc: 'keys that the newest token attends to',
  reference: 'Oren et al., arXiv 2401.06104',
  parameters: {},
  reads: 'attention',
  attention: () => ({ last: 1 }),
  granularity: 'layer',
  positions: 'true',
  of: ({ attention }) => attention,
};
