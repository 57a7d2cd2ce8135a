/**
 * Attention over interchangeable documents (Wang et al., arXiv 2407.01100): documents see each other in both directions,
 * and every query of every head places them by its own, position-free opinion of them, the most important one nearest.
 *
 *   q·k of a query and a key of document j = (R_{m + shift_j} q)·(R_{base} k)
 *
 * with shift_j the length of the documents ranked before j. It takes the place of what a site computes; its graph is a
 * lowering of its own (lowerings/segments).
 */
import { BEYOND } from '../lowerings/blocks.ts';
import type { Mode } from '../lowerings/segments/layout.ts';
import { softmax } from '../reference/attention.ts';
import { type Segments, segmentScores } from '../reference/segments.ts';
import type { Tensor } from '../reference/tensor.ts';
import { defineEdit } from './edit.ts';

type Documents = { readonly mode: Mode };

/** Attention over interchangeable documents (PINE): each query places them by its own opinion of them. */
export const documents = defineEdit<Documents>({
  kind: 'documents',
  stage: 'documents',
  reference: 'PINE, arXiv 2407.01100; code wzq016/PINE',
  knobs: () => [
    {
      name: 'bounds',
      axes: ['B', 'k+1'],
      neutral: BEYOND,
      type: 'int64',
      doc: 'Starts of the documents and the end of the last, counted from the first real token.',
    },
    {
      name: 'ties',
      axes: ['B', 'k'],
      neutral: 0,
      type: 'int64',
      doc: 'Places of the documents where their importance is equal.',
    },
  ],
  /** Of a batch of one; documents of equal importance keep the order they are given in. */
  solve(_options, { q, k, rope, scale, headSink, value }) {
    const segments = segmentsOf(value('bounds'));
    const { scores, visible } = segmentScores(q, k, segments, rope!, scale);
    return { value: softmax(scores, visible, headSink) };
  },
});

/** Documents from where they start and the last one ends, (1, k + 1); those without tokens are none. */
export function segmentsOf({ data }: Tensor): Segments {
  const lengths = [...data.subarray(1)].map((end, i) => end - data[i]!);
  return { prefix: data[0]!, documents: lengths.filter((length) => length > 0) };
}
