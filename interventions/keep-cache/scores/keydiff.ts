/** KeyDiff: keys unlike the others stay, score = −cos(k, mean of k / ‖k‖). */
import type { Score } from './score.ts';

export const keydiff: Score = {
  name: 'keydiff',
  doc: 'keys unlike the mean of all',
  reference: 'Park et al., arXiv 2504.15364',
  parameters: {},
  reads: 'keys',
  granularity: 'head',
  positions: 'true',
  of: ({ keys, columns, D }) => {
    const N = columns.length;
    const norms = new Float64Array(N);
    const anchor = new Float64Array(D);
    for (let n = 0; n < N; n++) {
      let sum = 0;
      for (let d = 0; d < D; d++) sum += keys[n * D + d]! ** 2;
      norms[n] = Math.sqrt(sum) || 1;
      for (let d = 0; d < D; d++) anchor[d]! += keys[n * D + d]! / norms[n]! / N;
    }
    const size = Math.sqrt(anchor.reduce((sum, x) => sum + x * x, 0)) || 1;
    return Float32Array.from(columns, (_, n) => {
      let dot = 0;
      for (let d = 0; d < D; d++) dot += keys[n * D + d]! * anchor[d]!;
      return -dot / norms[n]! / size;
    });
  },
};
