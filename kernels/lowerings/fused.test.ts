import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { maxAbsError } from '../reference/index.ts';
import { solve } from '../reference/solve.ts';
import { type FusedOperator, operatorTakes, solveFused } from '../verify/fused.ts';
import { problemOf, recipes } from '../verify/random-problem.ts';
import { createRunner, type Runner } from '../verify/runner.ts';

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
    { runner: cpu, operator: 'GroupQueryAttention', how: 'whole', runs: 300 },
    { runner: cpu, operator: 'GroupQueryAttention', how: 'in blocks', runs: 300 },
    { runner: cpu, operator: 'GroupQueryAttention', how: 'taken apart', runs: 300 },
    { runner: cpu, operator: 'MultiHeadAttention', how: 'whole', runs: 500 },
    { runner: cpu, operator: 'Attention', how: 'whole', runs: 500 },
    { runner: wasm, operator: 'GroupQueryAttention', how: 'whole', runs: 300 },
    { runner: wasm, operator: 'GroupQueryAttention', how: 'in blocks', runs: 300 },
    { runner: wasm, operator: 'GroupQueryAttention', how: 'taken apart', runs: 300 },
    { runner: wasm, operator: 'MultiHeadAttention', how: 'whole', runs: 500 },
    { runner: wasm, operator: 'Attention', how: 'whole', runs: 500 },
  ] satisfies { runner: Runner; operator: FusedOperator; how: string; runs: number }[])(
    '$operator on $runner.ep, $how, $runs shapes',
    async ({ runner, operator, how, runs }) => {
      const options = { open: how === 'taken apart', blockRows: how === 'in blocks' ? 4 : undefined };
      await fc.assert(
        fc.asyncProperty(arbitrary[operator], async (recipe) => {
          const problem = problemOf(recipe);
          fc.pre(operatorTakes(operator, problem));
          const { output } = await solveFused(runner, operator, problem, options);
          expect(maxAbsError(output, solve(problem).output)).toBeLessThan(1e-5);
        }),
        { numRuns: runs },
      );
    },
  );
});
