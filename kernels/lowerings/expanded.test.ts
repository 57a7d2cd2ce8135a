import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { DataType } from '../../onnx/index.ts';
import { cases } from '../../testbed/long.test-support.ts';
import type { EditRow } from '../edits/edit.ts';
import { headScale } from '../edits/head-scale.ts';
import { EDITS } from '../edits/index.ts';
import { logitBias } from '../edits/logit-bias.ts';
import { sinkCalibration } from '../edits/sink-calibration/index.ts';
import type { Problem } from '../problem.ts';
import { block, largest, maxAbsError, tensor } from '../reference/index.ts';
import { solve } from '../reference/solve.ts';
import { solveExpanded } from '../verify/expanded.ts';
import { problemOf, type Recipe, recipes } from '../verify/random-problem.ts';
import { createRunner } from '../verify/runner.ts';
import { checkEdits } from './edits.ts';

const cpu = await createRunner('cpu');
const wasm = await createRunner('wasm');
afterAll(async () => {
  await cpu[Symbol.asyncDispose]();
  await wasm[Symbol.asyncDispose]();
});

/** Where a machine has other work as well. */
const MINUTES = 900_000;

/** Edits that lowerings of one site know. */
const RANDOM = EDITS.filter(({ stage }) => stage !== 'documents');

/** Sessions are what takes time: of these sites each edit, head size, count of heads, padding and mask has one. */
const everything = recipes({
  edits: [undefined, ...RANDOM],
  softcap: true,
  window: true,
  headSink: true,
  padding: 'any',
  sites: cases(16),
});
const byEdit = [undefined, ...RANDOM].map((edit) => everything.filter(({ site }) => site.edit === edit));

describe('the expanded lowering equals the float64 reference', () => {
  test.each([
    // 1e-5: float32 sums of up to 300 products of size 1.
    { precision: 'float32', elemType: DataType.FLOAT, runs: cases(6), tolerance: 1e-5 },
    // 2e-3 of the largest output: halves carry 11 bits.
    { precision: 'float16', elemType: DataType.FLOAT16, runs: cases(3), tolerance: 2e-3 },
  ] as const)(
    'in $precision, $runs shapes of each edit on cpu and wasm, in one block and by 32 rows',
    { timeout: MINUTES },
    async ({ precision, elemType, runs, tolerance }) => {
      const agrees = async (recipe: Recipe) => {
        const problem = problemOf(recipe, precision);
        const expected = solve(problem).output;
        const unit = precision === 'float16' ? largest(expected, 1) : 1;
        for (const runner of [cpu, wasm]) {
          for (const blockBytes of [undefined, 1]) {
            const { output } = await solveExpanded(runner, problem, { elemType, blockBytes });
            const how = blockBytes === undefined ? 'one block' : 'blocks';
            expect(maxAbsError(output, expected), `${how} on ${runner.ep}`).toBeLessThan(tolerance * unit);
          }
        }
      };
      for (const problems of byEdit) {
        await fc.assert(fc.asyncProperty(problems, agrees), { numRuns: runs });
      }
    },
  );

  test.each([13, 17, 18, 23])('in operator set %i', async (opset) => {
    const problems = recipes({
      edits: RANDOM,
      window: true,
      headSink: true,
      padding: 'left',
      sites: 8,
    });
    await fc.assert(
      fc.asyncProperty(problems, async (recipe) => {
        const problem = problemOf(recipe);
        const { output } = await solveExpanded(cpu, problem, { opset, blockBytes: 1 });
        expect(maxAbsError(output, solve(problem).output)).toBeLessThan(1e-5);
      }),
      { numRuns: cases(15) },
    );
  });

  test('two edits of a kind, and an operator set too old, are refused', async () => {
    const site = { name: 'blocks.3.attn', opset: 12 };
    expect(() => checkEdits(site, [headScale.with()])).toThrow(/OPSET_TOO_OLD.*blocks\.3\.attn.*12/);
    expect(() => checkEdits({ ...site, opset: 21 }, [logitBias.with(), logitBias.with()])).toThrow(
      /EDIT_TWICE.*bias/,
    );
  });

  // A threshold above most keys, or one that few exceed.
  test.each(
    (['chunk', 'running', 'row'] as const).flatMap((stats) => [
      { stats, alpha: 1.3 },
      { stats, alpha: 3 },
    ]),
  )(
    'sink calibration finds the same sinks, statistics: $stats, α = $alpha',
    { timeout: MINUTES },
    async ({ stats, alpha }) => {
      const edit = sinkCalibration.with({ stats, exclude: 'initial' });
      const finding = (problem: Problem, recipe: Recipe, near = alpha): Problem => {
        const { beta } = problem.edits![0]!.values;
        const keys = problem.mask!.keys;
        const first = tensor(
          [recipe.B],
          Array.from({ length: recipe.B }, (_, b) => (keys ? block(keys, b).indexOf(1) : 0)),
        );
        const values = { beta: beta!, tau: tensor([1, 1], [0]), alpha: tensor([1, 1], [near]), first };
        return { ...problem, edits: [{ edit, values }] };
      };
      const problems = recipes({
        edits: [sinkCalibration as EditRow],
        window: true,
        padding: 'left',
        maxT: 90,
        sites: 6,
      });
      let compared = 0;
      await fc.assert(
        fc.asyncProperty(problems, async (recipe) => {
          const random = problemOf(recipe);
          const problem = finding(random, recipe);
          const expected = solve(problem);
          // A decision within float32's reach of the threshold may go either way.
          const nearby = [alpha - 1e-4, alpha + 1e-4].map((near) => solve(finding(random, recipe, near)));
          fc.pre(nearby.every(({ found }) => maxAbsError(found!.sinks!, expected.found!.sinks!) === 0));
          const actual = await solveExpanded(cpu, problem, { blockBytes: 1 });
          expect(maxAbsError(actual.output, expected.output)).toBeLessThan(1e-5);
          if (stats !== 'row') {
            expect(maxAbsError(actual.found!.score!, expected.found!.score!)).toBeLessThan(1e-5);
            expect(maxAbsError(actual.found!.sinks!, expected.found!.sinks!)).toBe(0);
          }
          compared++;
        }),
        { numRuns: cases(8) },
      );
      expect(compared).toBeGreaterThanOrEqual(cases(8));
    },
  );
});
