/** A short run of the fuzzer, and files that it found something with (testbed/fixtures would change every seed). */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { ModelFacts } from '../../hooks/model/index.ts';
import { pointName } from '../../sites/points/index.ts';
import type { Site } from '../../sites/site.ts';
import { cases } from '../../testbed/long.test-support.ts';
import { drive } from './drive.ts';
import { wrongPattern } from './equations.ts';
import { CORPUS, mutant } from './mutant.ts';
import { encode, parse } from './wire-tree.ts';

const SEED = Number(process.env.ATTUNE_SEED ?? 1);

test(`${cases(12)} mutated files end in answers or typed errors`, async () => {
  const { found, outcomes, tried } = await drive({ from: SEED, count: cases(12), run: true });
  expect(found).toEqual([]);
  expect(tried).toBe(cases(12));
  expect(outcomes.answer).toBeGreaterThan(tried / 20);
});

test.each([
  ['steering where no layer is left', 36],
  ['a cache of a fixed length', 54],
])('what was found once: %s', async (_, seed) => {
  const { found } = await drive({ from: seed, count: 1, run: true });
  expect(found).toEqual([]);
});

test('a seed is one file', () => {
  expect(mutant(7)).toEqual(mutant(7));
  expect(mutant(7).bytes).not.toEqual(mutant(8).bytes);
  expect(CORPUS.length).toBeGreaterThan(50);
});

test('what is parsed is written back', () => {
  const bytes = new Uint8Array(
    readFileSync(join(import.meta.dirname, '..', '..', 'testbed', 'fixtures', CORPUS[0]!)),
  );
  expect(encode(parse(bytes))).toEqual(bytes);
});

test('a pattern that is not what multiplies V is told', () => {
  const site = { layer: 0, tower: '', attention: 'self' } as Site;
  const name = (point: 'hook_pattern' | 'hook_v' | 'hook_z') => pointName(point, site);
  const tensor = (dims: number[], data: number[]) => ({ dims, data: Float32Array.from(data) });
  const facts = { recognition: { sites: [site] } } as unknown as ModelFacts;
  const taps = (pattern: number[]) => ({
    [name('hook_pattern')]: tensor([1, 1, 1, 2], pattern),
    [name('hook_v')]: tensor([1, 2, 1, 1], [1, 3]),
    [name('hook_z')]: tensor([1, 1, 1, 1], [2]),
  });
  expect(wrongPattern(facts, taps([0.5, 0.5]))).toBeUndefined();
  expect(wrongPattern(facts, taps([0.4, 0.6]))).toContain('is 0.0667 from z');
});
