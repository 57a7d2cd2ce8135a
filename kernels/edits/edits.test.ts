/** Every edit's equation on numbers worked out by hand, and every edit in every lowering against its equation. */
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { solveCompiled, WAYS } from '../../eval/verify/compiled.ts';
import { DataType, makeGraph, makeValueInfo } from '../../onnx/index.ts';
import { cases } from '../../testbed/long.test-support.ts';
import { knobsOf } from '../lowerings/edits.ts';
import { editedPattern } from '../lowerings/pattern.ts';
import type { Problem } from '../problem.ts';
import { at, attention, maxAbsError, type Tensor, tensor } from '../reference/index.ts';
import { solve } from '../reference/solve.ts';
import { solveExpanded } from '../verify/expanded.ts';
import { asTensor, feed } from '../verify/feeds.ts';
import { formTakes } from '../verify/one-site.ts';
import { knobFeeds, planOf } from '../verify/plan.ts';
import { problemOf, recipes } from '../verify/random-problem.ts';
import { createRunner } from '../verify/runner.ts';
import { defineEdit, type Edit, type EditRow, STAGES } from './edit.ts';
import { headScale } from './head-scale.ts';
import { EDITS } from './index.ts';
import { logWeights } from './log-weights.ts';
import { logitGain } from './logit-gain.ts';
import { sinkCalibration } from './sink-calibration/index.ts';
import { sinkRedistribution } from './sink-redistribution/index.ts';
import { temperature } from './temperature.ts';

const cpu = await createRunner('cpu');
afterAll(() => cpu[Symbol.asyncDispose]());

/** Where a machine has other work as well. */
const MINUTES = 600_000;

/** One head, one row, whose probabilities or logits are the given numbers. */
function outputAfter(edit: Edit, x: readonly number[], values: Readonly<Record<string, Tensor>>): number[] {
  const row = tensor([1, 1, 1, x.length], x);
  const knobs = new Map(edit.row.knobs(edit.options).map((knob) => [knob.name, knob]));
  const neutral = (name: string) => {
    const { axes, neutral: value } = knobs.get(name)!;
    return tensor(
      axes.map(() => 1),
      [value],
    );
  };
  const solved = edit.row.solve(
    edit.options,
    {
      q: tensor([1, 1, 1, 1], [0]),
      k: row,
      v: row,
      visible: tensor(
        [1, 1, x.length],
        x.map(() => 1),
      ),
      past: x.length - 1,
      raw: row,
      before: row,
      value: (name) => values[name] ?? neutral(name),
      state: () => undefined,
    },
    row,
  );
  return [...solved.value.data];
}

const perKey = (...x: number[]) => tensor([1, x.length], x);
const one = (x: number) => tensor([1, 1], [x]);

function expectClose(actual: readonly number[], expected: readonly number[]): void {
  expect(actual).toHaveLength(expected.length);
  for (const [i, x] of expected.entries()) expect(actual[i]).toBeCloseTo(x, 14);
}

describe('equations, by hand', () => {
  test('a temperature is a factor, a gain a share of the size, a log-weight an addend', () => {
    expect(outputAfter(temperature.with(), [2, -3], { a: one(2) })).toEqual([4, -6]);
    expect(
      outputAfter(logitGain.with({ rows: 'all' }), [2, -3], { b: tensor([1, 1, 2], [0.5, 0.5]) }),
    ).toEqual([3, -1.5]);
    const first = { log_weight: one(10), first: tensor([1], [1]) };
    expect(outputAfter(logWeights.with({ keys: 'first' }), [2, -3], first)).toEqual([2, 7]);
  });

  test('a log-weight multiplies the weight and renormalises the row: γ / (1 + (γ − 1) m)', () => {
    const [q, k] = [tensor([1, 1, 1, 1], [1]), tensor([1, 1, 3, 1], [0.3, -1, 2])];
    const values = { keys: perKey(1, 0, 0), log_weight: one(Math.log(3)) };
    const edits = [{ edit: logWeights.with({ keys: 'given' }), values }];
    const { probs, baseProbs } = solve({ q, k, v: k, edits });
    const total = 1 + 2 * at(baseProbs!, 0, 0, 0, 0);
    expectClose(
      [...probs!.data],
      [...baseProbs!.data].map((p, t) => ((t === 0 ? 3 : 1) * p) / total),
    );
  });

  test('sinks keep β of their weight; the row sum and the ratios of the others stay', () => {
    const frozen = sinkCalibration.with({ stats: 'frozen', exclude: 'initial' });
    const values = { beta: one(0.25), sinks: tensor([1, 1, 3], [0, 1, 0]) };
    expectClose(outputAfter(frozen, [0.4, 0.4, 0.2], values), [0.6, 0.1, 0.3]);
    // Nothing can be moved in a row of sinks.
    const all = tensor([1, 1, 2], [1, 1]);
    expect(outputAfter(frozen, [0.5, 0.5], { beta: one(0.4), sinks: all })).toEqual([0.5, 0.5]);
    // β = 1 leaves a head alone.
    expect(outputAfter(frozen, [0.4, 0.4, 0.2], { sinks: values.sinks })).toEqual([0.4, 0.4, 0.2]);
  });

  test('sinks give the share p to visual keys that are none, in rows that look at the image', () => {
    const paper = sinkRedistribution.with({ semantics: 'paper' });
    const row = [0.4, 0.1, 0.3, 0.2]; // sink of text, sink in the image, image, text
    const values = {
      sink: perKey(1, 1, 0, 0),
      visual: perKey(0, 1, 1, 0),
      p: one(0.5),
      rho: one(0.5),
      min_visual: one(0.2),
    };
    expectClose(outputAfter(paper, row, values), [0.2, 0.05, 0.55, 0.2]);
    const changes: Record<string, Tensor>[] = [
      { rho: one(0.8) },
      { min_visual: one(0.5) },
      { sink: perKey(0, 0, 0, 0) },
      { rows_from: tensor([1], [4]) },
    ];
    for (const change of changes) {
      expect(outputAfter(paper, row, { ...values, ...change })).toEqual(row);
    }
  });

  test('a head is scaled', () => {
    expect(outputAfter(headScale.with(), [2, -3], { head_scale: one(1.5) })).toEqual([3, -4.5]);
  });
});

/** Through the product's compiler. */
const KEPT = WAYS.find(({ name }) => name === 'gqa keep-operator')!;

/** Ways to compute an edit, each of those that have its forms. */
const LOWERINGS: Readonly<
  Record<
    string,
    {
      has: (row: EditRow) => boolean;
      run: (problem: Problem) => Promise<Partial<Record<'output' | 'probs', Tensor>>>;
    }
  >
> = {
  'expanded in one block': {
    has: ({ stage }) => stage !== 'documents',
    run: (problem) => solveExpanded(cpu, problem, { tapPattern: true }),
  },
  'expanded by 32 rows': {
    has: ({ stage }) => stage !== 'documents',
    run: async (problem) => ({ output: (await solveExpanded(cpu, problem, { blockBytes: 1 })).output }),
  },
  'operator kept': {
    has: ({ bias, outputs }) => (bias ?? outputs) !== undefined,
    run: async (problem) =>
      formTakes('gqa', problem) ? { output: (await solveCompiled(cpu, problem, KEPT)).output } : {},
  },
  'at the pattern': { has: ({ pattern }) => pattern !== undefined, run: atPattern },
};

/** The map of the reference as a value of the graph, edited there. */
async function atPattern(problem: Problem): Promise<{ probs: Tensor }> {
  const { q, k, v, mask } = problem;
  const map = attention(q, k, v, problem).probs;
  const plan = planOf(problem);
  const { results, nodes, functions } = editedPattern(
    {
      name: 'site',
      opset: 21,
      pattern: 'map',
      attentionMask: mask?.keys && 'mask',
      window: mask?.window,
      guarded: false,
    },
    plan.edits,
    Object.fromEntries(Object.keys(plan.values).map((name) => [name, `site.${name}`])),
  );
  const feeds = {
    map: feed(map),
    ...(mask?.keys ? { mask: feed(mask.keys, DataType.INT64) } : {}),
    ...knobFeeds(
      plan,
      plan.edits.flatMap((edit) => knobsOf(edit, 'site', q.shape[1]!)),
      'site',
    ),
  };
  const graph = makeGraph('at-pattern', {
    nodes,
    inputs: Object.entries(feeds).map(([name, { elemType, dims }]) =>
      makeValueInfo(
        name,
        elemType,
        dims.map((_, axis) => `${name}_${axis}`),
      ),
    ),
    outputs: [makeValueInfo(results.pattern!, DataType.FLOAT)],
    initializers: [],
  });
  const opsets = { '': 21, 'com.microsoft': 1, attune: 1 };
  const outputs = await cpu.run({ graph, functions: [...functions.values()], opsets }, feeds);
  return { probs: asTensor(outputs[results.pattern!]!) };
}

/** Edit × lowering × random problem. */
async function proves(row: EditRow, lowering: string): Promise<number> {
  let compared = 0;
  const problems = recipes({
    edits: [row],
    window: true,
    softcap: true,
    padding: 'left',
    headDims: [8, 16],
    maxT: 80,
    sites: 6,
  });
  await fc.assert(
    fc.asyncProperty(problems, async (recipe) => {
      const problem = problemOf(recipe);
      const expected = solve(problem);
      const actual = await LOWERINGS[lowering]!.run(problem);
      for (const what of ['output', 'probs'] as const) {
        if (!actual[what]) continue;
        // float32 sums of up to 80 products of size 1.
        expect(maxAbsError(actual[what], expected[what]!), what).toBeLessThan(1e-5);
        compared++;
      }
    }),
    { numRuns: cases(12) },
  );
  return compared;
}

describe.each(EDITS.filter(({ random }) => random))('$kind', (row) => {
  const lowerings = Object.keys(LOWERINGS).filter((name) => LOWERINGS[name]!.has(row));
  test.each(lowerings)('%s gives what its equation says', { timeout: MINUTES }, async (lowering) => {
    expect(await proves(row, lowering)).toBeGreaterThan(5);
  });
});

test('rows are complete: one name, in order of stages, every knob once, and all but documents can be drawn at random', () => {
  expect(new Set(EDITS.map(({ kind }) => kind)).size).toBe(EDITS.length);
  const stages = EDITS.map(({ stage }) => STAGES.indexOf(stage));
  expect(stages).toEqual([...stages].sort((a, b) => a - b));
  // Documents have layouts of their own to be drawn: lowerings/segments/segments.test.ts.
  expect(EDITS.filter(({ random }) => !random).map(({ stage }) => stage)).toEqual(['documents']);
});

/** A method nobody has: every probability gives a share to the uniform row over what the row sees. One object is all. */
const flatten = defineEdit({
  kind: 'flatten',
  stage: 'probabilities',
  reference: 'none',
  knobs: () => [{ name: 'share', axes: ['B', 'H'], neutral: 0, doc: 'Share of the uniform row.' }],
  solve: (_options, call, probs) => {
    const share = call.value('share');
    const { data, shape } = probs;
    const [, H, S, T] = shape as [number, number, number, number];
    const value = data.map((p, i) => {
      const [t, s, h, b] = [
        i % T,
        Math.floor(i / T) % S,
        Math.floor(i / (T * S)) % H,
        Math.floor(i / (T * S * H)),
      ];
      const seen = [...Array(T).keys()].reduce((sum, key) => sum + at(call.visible, b, s, key), 0);
      const w = at(share, b, h);
      // A row of padding sees nothing, and stays.
      return seen === 0 ? p : (1 - w) * p + (w * at(call.visible, b, s, t)) / seen;
    });
    return { value: { shape, data: value } };
  },
  random: ({ H, tensor: drawn }) => ({ options: {}, values: { share: drawn([1, H]) } }),
  pattern: (_options, call) => {
    const seen = call.keysSeen();
    return (block, pattern) => {
      const { emit } = block;
      const share = emit('Unsqueeze', [call.value('share'), emit.ints(2, 3)]);
      const visible = emit('Cast', [emit('Greater', [pattern, emit.float(0)])], { to: DataType.FLOAT });
      const uniform = emit('Div', [visible, seen(block)]);
      const kept = emit('Mul', [pattern, emit('Sub', [emit.float(1), share])]);
      return emit('Add', [kept, emit('Mul', [uniform, share])]);
    };
  },
});

test.each(['expanded in one block', 'expanded by 32 rows', 'at the pattern'])(
  'an edit of one object, in no list, works: %s',
  { timeout: MINUTES },
  async (lowering) => {
    expect(await proves(flatten as EditRow, lowering)).toBeGreaterThan(5);
  },
);
