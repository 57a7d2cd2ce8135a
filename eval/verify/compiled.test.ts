/** Random problems through the compiler equal the float64 reference, each in every way that expresses it. */
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { isAttuneError } from '../../errors.ts';
import { EDITS, logWeights } from '../../kernels/edits/index.ts';
import type { Problem } from '../../kernels/problem.ts';
import { maxAbsError } from '../../kernels/reference/index.ts';
import { solve } from '../../kernels/reference/solve.ts';
import { formTakes } from '../../kernels/verify/one-site.ts';
import { problemOf, recipes } from '../../kernels/verify/random-problem.ts';
import { createRunner } from '../../kernels/verify/runner.ts';
import { solveCompiled, WAYS } from './compiled.ts';

const cpu = await createRunner('cpu');
const wasm = await createRunner('wasm');
afterAll(async () => {
  await cpu[Symbol.asyncDispose]();
  await wasm[Symbol.asyncDispose]();
});

/** Where a machine has other work as well. */
const MINUTES = 900_000;

const everything = recipes({
  edits: EDITS.filter(({ random }) => random),
  softcap: true,
  window: true,
  headSink: true,
  padding: 'any',
  headDims: [8, 16, 64],
  sites: 24,
});

describe.each(WAYS)('$name', (way) => {
  test('equals the reference, on cpu and wasm', { timeout: MINUTES }, async () => {
    let compared = 0;
    await fc.assert(
      fc.asyncProperty(everything, async (recipe) => {
        const problem = problemOf(recipe);
        fc.pre(formTakes(way.form, problem));
        const expected = solve(problem).output;
        for (const runner of [cpu, wasm]) {
          const solution = await solveCompiled(runner, problem, way).catch((error: unknown) => {
            if (isAttuneError(error, 'LOWERING_UNAVAILABLE')) return undefined;
            throw error;
          });
          if (!solution) return;
          // 1e-5: float32 sums of up to 300 products of size 1.
          expect(maxAbsError(solution.output, expected), runner.ep).toBeLessThan(1e-5);
          compared++;
        }
      }),
      { numRuns: 40 },
    );
    expect(compared).toBeGreaterThan(8);
  });
});

test('neutral edits leave what the operator gives bit for bit', { timeout: MINUTES }, async () => {
  const kept = WAYS.filter(({ lowering }) => lowering !== 'at-pattern');
  const plain = recipes({ edits: [undefined], softcap: true, window: true, sites: 8, headDims: [16, 64] });
  await fc.assert(
    fc.asyncProperty(plain, async (recipe) => {
      const problem = problemOf(recipe);
      const [B, H, T] = [problem.q.shape[0]!, problem.q.shape[1]!, problem.k.shape[2]!];
      const keys = { shape: [B, T], data: new Float64Array(B * T).fill(1) };
      const neutral: Problem = {
        ...problem,
        edits: [
          {
            edit: logWeights.with({ keys: 'given' }),
            values: { keys, log_weight: { shape: [1, H], data: new Float64Array(H) } },
          },
        ],
      };
      for (const way of kept) {
        if (!formTakes(way.form, problem) || way.tapPattern) continue;
        const untouched = await solveCompiled(cpu, problem, way);
        const edited = await solveCompiled(cpu, neutral, way);
        expect(edited.output.data, way.name).toEqual(untouched.output.data);
      }
    }),
    { numRuns: 20 },
  );
});
