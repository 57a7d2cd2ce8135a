import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import type { Problem } from '../problem.ts';
import { maxAbsError } from '../reference/index.ts';
import { solve } from '../reference/solve.ts';
import { solveExpanded } from '../verify/expanded.ts';
import { problemOf, recipes } from '../verify/random-problem.ts';
import { createRunner } from '../verify/runner.ts';
import { checkEdits } from './edits.ts';

const cpu = await createRunner('cpu');
const wasm = await createRunner('wasm');
afterAll(async () => {
  await cpu[Symbol.asyncDispose]();
  await wasm[Symbol.asyncDispose]();
});

const everything = recipes({
  edits: ['none', 'logits', 'logWeights', 'heads', 'act', 'var'],
  softcap: true,
  window: true,
  headSink: true,
  padding: 'any',
  sites: 36,
});

describe('the expanded lowering equals the float64 reference', () => {
  // 1e-5: float32 sums of up to 300 products of size 1.
  test.each([
    { runner: cpu, blockBytes: undefined, runs: 260, note: 'one block' },
    { runner: cpu, blockBytes: 1, runs: 260, note: 'blocks of 32 rows' },
    { runner: wasm, blockBytes: undefined, runs: 260, note: 'one block' },
    { runner: wasm, blockBytes: 1, runs: 260, note: 'blocks of 32 rows' },
  ])('on $runner.ep, $note, $runs shapes', async ({ runner, blockBytes, runs }) => {
    await fc.assert(
      fc.asyncProperty(everything, async (recipe) => {
        const problem = problemOf(recipe);
        const { output } = await solveExpanded(runner, problem, { blockBytes });
        expect(maxAbsError(output, solve(problem).output)).toBeLessThan(1e-5);
      }),
      { numRuns: runs },
    );
  });

  test.each([13, 17, 18, 23])('in operator set %i', async (opset) => {
    const problems = recipes({
      edits: ['logits', 'act', 'var'],
      window: true,
      headSink: true,
      padding: 'left',
      sites: 6,
    });
    await fc.assert(
      fc.asyncProperty(problems, async (recipe) => {
        const problem = problemOf(recipe);
        const { output } = await solveExpanded(cpu, problem, { opset, blockBytes: 1 });
        expect(maxAbsError(output, solve(problem).output)).toBeLessThan(1e-5);
      }),
      { numRuns: 15 },
    );
  });

  test('two edits of a kind, and an operator set too old, are refused', async () => {
    const site = { name: 'blocks.3.attn', opset: 12 };
    expect(() => checkEdits(site, [{ kind: 'headScale' }])).toThrow(/OPSET_TOO_OLD.*blocks\.3\.attn.*12/);
    expect(() => checkEdits({ ...site, opset: 21 }, [{ kind: 'bias' }, { kind: 'bias' }])).toThrow(
      /EDIT_TWICE.*bias/,
    );
  });

  test.each(['chunk', 'running', 'row'] as const)(
    'ACT finds the same sinks, statistics: %s',
    async (stats) => {
      const withAlpha = (problem: Problem, alpha: number): Problem => {
        if (problem.edit.kind !== 'act') return problem;
        return { ...problem, edit: { ...problem.edit, stats, threshold: { mode: 'relative', alpha } } };
      };
      const problems = recipes({ edits: ['act'], window: true, padding: 'left', maxT: 90, sites: 6 });
      let compared = 0;
      await fc.assert(
        fc.asyncProperty(problems, async (recipe) => {
          const random = problemOf(recipe);
          const problem = withAlpha(random, 1.3);
          const expected = solve(problem);
          // A decision within float32's reach of the threshold may go either way.
          const nearby = [1.3 - 1e-4, 1.3 + 1e-4].map((alpha) => solve(withAlpha(random, alpha)));
          fc.pre(nearby.every(({ sinks }) => maxAbsError(sinks!, expected.sinks!) === 0));
          const actual = await solveExpanded(cpu, problem, { blockBytes: 1 });
          expect(maxAbsError(actual.output, expected.output)).toBeLessThan(1e-5);
          if (stats !== 'row') {
            expect(maxAbsError(actual.score!, expected.score!)).toBeLessThan(1e-5);
            expect(maxAbsError(actual.sinks!, expected.sinks!)).toBe(0);
          }
          compared++;
        }),
        { numRuns: 40 },
      );
      expect(compared).toBeGreaterThanOrEqual(40);
    },
  );
});
