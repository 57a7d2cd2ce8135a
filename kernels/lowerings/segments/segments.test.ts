import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { cases } from '../../../testbed/long.test-support.ts';
import { documents, segmentsOf } from '../../edits/documents.ts';
import type { Problem } from '../../problem.ts';
import { block, build, maxAbsError, rePosition, rope, tensor } from '../../reference/index.ts';
import { documentSpans, importance } from '../../reference/segments.ts';
import { solve } from '../../reference/solve.ts';
import { solveExpanded } from '../../verify/expanded.ts';
import { createRunner, type Runner } from '../../verify/runner.ts';

const cpu = await createRunner('cpu');
const wasm = await createRunner('wasm');
afterAll(async () => {
  await cpu[Symbol.asyncDispose]();
  await wasm[Symbol.asyncDispose]();
});

const D = 16;
const FORMS = [rope(10000, D), rope(500, D, true), rope(10000, D / 2)];

const layouts = fc.record({
  form: fc.constantFrom(...FORMS),
  prefix: fc.integer({ min: 1, max: 9 }),
  lengths: fc.array(fc.integer({ min: 1, max: 17 }), { minLength: 1, maxLength: 5 }),
  suffix: fc.integer({ min: 1, max: 12 }),
  decode: fc.boolean(),
  seed: fc.nat(),
});
type Layout = typeof layouts extends fc.Arbitrary<infer L> ? L : never;

function overDocuments(prefix: number, lengths: readonly number[]): Pick<Problem, 'edits'> {
  const { spans, end } = documentSpans({ prefix, documents: lengths });
  const bounds = tensor([1, spans.length + 1], [...spans.map(([start]) => start), end]);
  return { edits: [{ edit: documents.with({ mode: 'pine' }), values: { bounds } }] };
}

function problemOf({ form, prefix, lengths, suffix, decode, seed }: Layout): Problem {
  let i = seed;
  const wave = (...shape: number[]) =>
    build(shape, () => Math.fround(Math.sin(12.9898 * ++i) + Math.cos(0.7 * i * i)));
  const T = prefix + lengths.reduce((sum, n) => sum + n, 0) + suffix;
  const all = wave(1, 4, T, D);
  const q = decode ? build([1, 4, 1, D], (_b, h, _s, d) => block(all, 0, h!, T - 1)[d!]!) : all;
  return {
    q,
    k: wave(1, 2, T, D),
    v: wave(1, 2, T, D),
    ...overDocuments(prefix, lengths),
    rope: form,
  };
}

/** Whether no two documents are so close in importance that float32 may order them otherwise. */
function decided({ q, k, edits }: Problem): boolean {
  const { suffix, docs } = importance(q, k, segmentsOf(edits![0]!.values.bounds!));
  return [suffix, docs].every((t) => {
    if (!t) return true;
    const width = t.shape.at(-1)!;
    return Array.from({ length: t.data.length / width }, (_, i) => {
      const row = [...t.data.subarray(i * width, (i + 1) * width)]
        .filter((x) => !Number.isNaN(x))
        .sort((a, b) => a - b);
      return row.every((x, j) => j === 0 || x - row[j - 1]! > 1e-6 * x);
    }).every(Boolean);
  });
}

test.each([
  { runner: cpu, runs: cases(32) },
  { runner: wasm, runs: cases(8) },
] satisfies { runner: Runner; runs: number }[])(
  'PINE equals the reference on $runner.ep, $runs layouts',
  async ({ runner, runs }) => {
    await fc.assert(
      fc.asyncProperty(layouts, async (layout) => {
        const problem = problemOf(layout);
        fc.pre(decided(problem));
        const { output } = await solveExpanded(runner, problem, { blockBytes: 1 });
        expect(maxAbsError(output, solve(problem).output)).toBeLessThan(2e-5);
      }),
      { numRuns: runs },
    );
  },
);

test.each([{ lengths: [] }, { lengths: [0, 0, 0] }])(
  'without documents it is plain rotary attention: $lengths',
  async ({ lengths }) => {
    const problem = problemOf({
      form: FORMS[0]!,
      prefix: 3,
      lengths: [4],
      suffix: 2,
      decode: false,
      seed: 5,
    });
    const { q, k, v } = problem;
    const [S, T] = [q.shape[2]!, k.shape[2]!];
    const at = (n: number) => tensor([1, 1, n], [...Array(n).keys()]);
    const plain = {
      q: rePosition(q, at(S), FORMS[0]!),
      k: rePosition(k, at(T), FORMS[0]!),
      v,
    };
    const { output } = await solveExpanded(cpu, {
      ...problem,
      ...overDocuments(T, lengths),
      rope: FORMS[0]!,
    });
    expect(maxAbsError(output, solve(plain).output)).toBeLessThan(1e-5);
  },
);
