import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { maxAbsError } from '../reference/index.ts';
import { solve } from '../reference/solve.ts';
import { type FusedOperator, operatorTakes, solveFused } from '../verify/fused.ts';
import { problemOf, recipes } from '../verify/random-problem.ts';
import { createRunner } from '../verify/runner.ts';

const cpu = await createRunner('cpu');
const wasm = await createRunner('wasm');
afterAll(async () => {
  await cpu[Symbol.asyncDispose]();
  await wasm[Symbol.asyncDispose]();
});

const headDims = [8, 16, 24, 64, 128];
const arbitrary = {
  GroupQueryAttention: recipes({
    edits: ['none', 'logWeights', 'heads'],
    softcap: true,
    window: true,
    headSink: true,
    padding: 'any',
    headDims,
    sites: 36,
  }),
  Attention: recipes({ edits: ['none', 'logWeights', 'heads'], softcap: true, padding: 'any', headDims }),
  MultiHeadAttention: recipes({
    edits: ['none', 'logWeights', 'heads'],
    padding: 'any',
    headDims,
    sites: 60,
  }),
};

describe('with the fused operator kept, the result equals the float64 reference', () => {
  test.each([
    { runner: cpu, operator: 'GroupQueryAttention' as FusedOperator, open: false, runs: 400 },
    { runner: wasm, operator: 'GroupQueryAttention' as FusedOperator, open: false, runs: 100 },
    { runner: cpu, operator: 'GroupQueryAttention' as FusedOperator, open: true, runs: 100 },
    { runner: cpu, operator: 'MultiHeadAttention' as FusedOperator, open: false, runs: 100 },
    { runner: cpu, operator: 'Attention' as FusedOperator, open: false, runs: 100 },
  ])(
    '$operator on $runner.ep, taken apart: $open, $runs shapes',
    async ({ runner, operator, open, runs }) => {
      await fc.assert(
        fc.asyncProperty(arbitrary[operator], async (recipe) => {
          const problem = problemOf(recipe);
          fc.pre(operatorTakes(operator, problem));
          const { output } = await solveFused(runner, operator, problem, { open });
          expect(maxAbsError(output, solve(problem).output)).toBeLessThan(1e-5);
        }),
        { numRuns: runs },
      );
    },
  );
});
