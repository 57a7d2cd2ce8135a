/**
 * SnapKV: keys that the newest tokens attend to, each with its neighbours: the mean over `pool` keys around it. A prompt is read
 * in its last `window` rows; while tokens are written, the last `window` of them are.
 */
import { z } from 'zod';
import type { Score } from './score.ts';

export interface SnapkvParameters {
  readonly window: number;
  readonly pool: number;
}

export const snapkv: Score<SnapkvParameters> = {
  name: 'snapkv',
  doc: 'keys that the newest tokens attend to, with their neighbours',
  reference: 'Li et al., arXiv 2404.14469',
  parameters: {
    window: z.int().positive().default(32).describe('newest tokens whose attention counts'),
    pool: z
      .int()
      .positive()
      .refine((width) => width % 2 === 1, 'an odd number')
      .default(5)
      .describe('keys that are averaged around each'),
  },
  reads: 'attention',
  attention: ({ window }) => ({ last: window }),
  granularity: 'head',
  positions: 'true',
  of: ({ attention }, { pool }) => {
    const half = (pool - 1) / 2;
    return attention.map((_, n) => {
      let sum = 0;
      for (let i = Math.max(0, n - half); i <= Math.min(attention.length - 1, n + half); i++)
        sum += attention[i]!;
      return sum / pool;
    });
  },
};
