/** A control: keys stay by chance, the same in every run. */
import { z } from 'zod';
import type { Score } from './score.ts';

export const random: Score<{ readonly seed: number }> = {
  name: 'random',
  doc: 'by chance, as a control',
  reference: 'none',
  parameters: { seed: z.int().nonnegative().default(0).describe('another seed, another choice') },
  reads: 'columns',
  granularity: 'head',
  positions: 'true',
  of: ({ columns, layer, row, head }, { seed }) =>
    Float32Array.from(
      columns,
      (column) => mixed(mixed(mixed(mixed(seed, layer), row), head), column) / 2 ** 32,
    ),
};

/** A hash of 32 bits (Murmur 3's finaliser). */
function mixed(state: number, value: number): number {
  let h = Math.imul(state ^ value ^ 0x9e3779b9, 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
