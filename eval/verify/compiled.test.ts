/** Random problems through the compiler equal the float64 reference, each in every way that expresses it. */
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { isAttuneError } from '../../errors.ts';
import { native, WHY_NOT } from '../../hooks/session/native/native.test-support.ts';
import { EDITS, logWeights, temperature } from '../../kernels/edits/index.ts';
import type { Problem } from '../../kernels/problem.ts';
import { maxAbsError } from '../../kernels/reference/index.ts';
import { solve } from '../../kernels/reference/solve.ts';
import { formTakes } from '../../kernels/verify/one-site.ts';
import { problemOf, type Recipe, recipes } from '../../kernels/verify/random-problem.ts';
import { createRunner } from '../../kernels/verify/runner.ts';
import { cases } from '../../testbed/long.test-support.ts';
import { solveCompiled, WAYS, type Way } from './compiled.ts';

const cpu = await createRunner('cpu');
const wasm = await createRunner('wasm');
/** The runtime with the kernel of the lowering 'native', whose body the others run. */
const kernel = native && (await createRunner('cpu', { runtime: native }));
afterAll(async () => {
  await kernel?.[Symbol.asyncDispose]();
  await cpu[Symbol.asyncDispose]();
  await wasm[Symbol.asyncDispose]();
});

/** Where a machine has other work as well. */
const MINUTES = 900_000;

/** Edits that an operator which stays can be given by its inputs or after it. */
const KEPT = [undefined, ...EDITS.filter(({ bias, outputs }) => bias ?? outputs)];

/** Problems a way can express: what its operator has, and edits of its lowering. */
function problemsOf({ form, lowering }: Way): fc.Arbitrary<Recipe> {
  const edits =
    lowering.startsWith('keep') || lowering === 'native'
      ? KEPT
      : [undefined, ...EDITS.filter(({ random }) => random)];
  const padded = { edits, padding: 'any', headDims: [8, 16, 64], sites: 24 } as const;
  if (form === 'gqa') return recipes({ ...padded, softcap: true, window: true, headSink: true });
  return recipes(form === 'attention' ? { ...padded, softcap: true } : { ...padded, sites: 60 });
}

/** A temperature on queries is one on logits where nothing caps these: the product refuses it elsewhere. */
const refused = ({ softcap, edits = [] }: Problem): boolean =>
  softcap !== undefined && edits.some(({ edit }) => edit.row === temperature);

/** 1e-5: float32 sums of up to 300 products of size 1; a softcap multiplies a tanh that is off by some 1e-6. */
const allowed = ({ softcap = 0 }: Problem): number => 1e-5 + 1e-6 * softcap;

describe.each(WAYS)('$name', (way) => {
  const without = way.lowering === 'native' ? WHY_NOT : '';
  test(`equals the reference, on cpu and wasm${without && ` (by its body alone${without})`}`, {
    timeout: MINUTES,
  }, async () => {
    let compared = 0;
    await fc.assert(
      fc.asyncProperty(problemsOf(way), async (recipe) => {
        const problem = problemOf(recipe);
        fc.pre(formTakes(way.form, problem) && !refused(problem));
        const expected = solve(problem).output;
        for (const runner of way.lowering === 'native' && kernel ? [kernel, cpu, wasm] : [cpu, wasm]) {
          const solution = await solveCompiled(runner, problem, way).catch((error: unknown) => {
            if (isAttuneError(error, 'LOWERING_UNAVAILABLE')) return undefined;
            throw error;
          });
          if (!solution) return;
          expect(maxAbsError(solution.output, expected), runner.ep).toBeLessThan(allowed(problem));
          compared++;
        }
      }),
      { numRuns: cases(16) },
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
    { numRuns: cases(8) },
  );
});
