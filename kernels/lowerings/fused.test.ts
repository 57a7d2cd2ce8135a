import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { DataType } from '../../onnx/index.ts';
import { EDITS } from '../edits/index.ts';
import { largest, maxAbsError } from '../reference/index.ts';
import { solve } from '../reference/solve.ts';
import { type FusedOperator, type FusedOptions, operatorTakes, solveFused } from '../verify/fused.ts';
import { problemOf, recipes } from '../verify/random-problem.ts';
import { createRunner } from '../verify/runner.ts';

const cpu = await createRunner('cpu');
const wasm = await createRunner('wasm');
afterAll(async () => {
  await cpu[Symbol.asyncDispose]();
  await wasm[Symbol.asyncDispose]();
});

const KEPT = [undefined, ...EDITS.filter(({ bias, outputs }) => bias ?? outputs)];
const headDims = [8, 16, 24, 64, 128];
const arbitrary = {
  GroupQueryAttention: recipes({
    edits: KEPT,
    softcap: true,
    window: true,
    headSink: true,
    padding: 'any',
    headDims,
    sites: 36,
  }),
  Attention: recipes({ edits: KEPT, softcap: true, padding: 'any', headDims }),
  MultiHeadAttention: recipes({
    edits: KEPT,
    padding: 'any',
    headDims,
    sites: 60,
  }),
};

/** Where a machine has other work as well. */
const MINUTES = 900_000;

/** Ways to write an operator; each solves every problem. */
const WAYS: Readonly<Record<FusedOperator, Readonly<Record<string, FusedOptions>>>> = {
  GroupQueryAttention: { whole: {}, 'in blocks': { blockRows: 4 }, 'taken apart': { open: true } },
  MultiHeadAttention: { whole: {} },
  Attention: { whole: {} },
};

describe('with the fused operator kept, or taken apart, the result equals the float64 reference', () => {
  test.each(
    (['GroupQueryAttention', 'MultiHeadAttention', 'Attention'] as const).flatMap((operator) => [
      // 1e-5: float32 sums of up to 300 products of size 1.
      { operator, precision: 'float32', runs: 500, tolerance: 1e-5 } as const,
      // 2e-3 of the largest output: halves carry 11 bits.
      { operator, precision: 'float16', runs: 200, tolerance: 2e-3 } as const,
    ]),
  )('$operator in $precision, $runs shapes on cpu and wasm', { timeout: MINUTES }, async (given) => {
    const { operator, precision, runs, tolerance } = given;
    const elemType = precision === 'float32' ? DataType.FLOAT : DataType.FLOAT16;
    await fc.assert(
      fc.asyncProperty(arbitrary[operator], async (recipe) => {
        const problem = problemOf(recipe, precision);
        fc.pre(operatorTakes(operator, problem));
        const expected = solve(problem).output;
        const unit = precision === 'float16' ? largest(expected, 1) : 1;
        for (const runner of [cpu, wasm]) {
          for (const [way, options] of Object.entries(WAYS[operator])) {
            const { output } = await solveFused(runner, operator, problem, { ...options, elemType });
            expect(maxAbsError(output, expected), `${way} on ${runner.ep}`).toBeLessThan(tolerance * unit);
          }
        }
      }),
      { numRuns: runs },
    );
  });
});
