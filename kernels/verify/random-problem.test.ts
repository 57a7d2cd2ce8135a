import fc from 'fast-check';
import { expect, test } from 'vitest';
import { EDITS } from '../edits/index.ts';
import { recipes } from './random-problem.ts';

test('every edit has a site, however small the pool', () => {
  const edits = [undefined, ...EDITS];
  const drawn = fc.sample(recipes({ edits, sites: 2 }), { numRuns: 40 * edits.length, seed: 1 });
  expect(new Set(drawn.map(({ site }) => site.edit))).toEqual(new Set(edits));
});
