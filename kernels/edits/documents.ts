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
import { defineEdit } from './edit.ts';

type Documents = { readonly mode: Mode };

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
});
