/** Sinks and a window (StreamingLLM): the newest keys stay, beside the first ones that every score keeps. */
import type { Score } from './score.ts';

export const window: Score = {
  name: 'window',
  doc: 'the newest',
  reference: 'Xiao et al., arXiv 2309.17453',
  parameters: {},
  reads: 'columns',
  granularity: 'model',
  positions: 'slots',
  of: ({ columns }) => Float32Array.from(columns),
};
