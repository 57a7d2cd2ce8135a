/** Keys of small norm attract attention: score = −‖k‖. */
import type { Score } from './score.ts';

export const keyNorm: Score = {
  name: 'key-norm',
  doc: 'keys of small norm',
  reference: 'Devoto et al., arXiv 2406.11430',
  parameters: {},
  reads: 'keys',
  granularity: 'head',
  positions: 'true',
  of: ({ keys, columns, D }) =>
    Float32Array.from(columns, (_, n) => {
      let sum = 0;
      for (let d = n * D; d < (n + 1) * D; d++) sum += keys[d]! * keys[d]!;
      return -Math.sqrt(sum);
    }),
};
