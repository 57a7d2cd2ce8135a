/**
 * Attention untouched against compiled, as a live model runs it. A few layers tell what each lowering costs (the cost table is
 * made from these), all layers of a model what is left of that while decoding. Shapes are those of Llama-3.2-1B and Qwen2.5-0.5B.
 */
import { execFile } from 'node:child_process';
import { extname, join } from 'node:path';
import { promisify } from 'node:util';
import type { LoweringName } from '../../hooks/compile/index.ts';
import type { ModelFacts } from '../../hooks/model/index.ts';
import { act, headScale, zeroTuning } from '../../interventions/index.ts';
import { workOf as costKeyOf } from '../../kernels/costs/costs.ts';
import { sinkRedistribution } from '../../kernels/edits/index.ts';
import { createRunner, type ExecutionProvider, type Runner } from '../../kernels/verify/runner.ts';
import { DataType } from '../../onnx/index.ts';
import { compare, paired, spread } from '../paired.ts';
import type { Case, Suite } from '../suite.ts';
import {
  CALLS,
  compiled,
  factsOf,
  feedsOf,
  isSink,
  roomFor,
  runnable,
  SHAPES,
  type Shape,
  type Work,
  workOf,
} from './model.ts';

/** Layers of the models the cost table is made from: enough for what they share to be shared, few enough to be quick. */
const FEW = 2;

interface Contender {
  readonly name: string;
  readonly work: (shape: Shape, facts: ModelFacts, T: number) => Work;
  /** Lowerings to measure; all of them can do it. */
  readonly lowerings: readonly LoweringName[];
  readonly note: string;
}

const perHead = ({ H }: Shape) => Array.from({ length: H }, (_, h) => 0.6 + 0.1 * (h % 12));

/** A picture that takes a quarter of the prompt, after a few words. */
function redistribution(_shape: Shape, { decoder }: ModelFacts, T: number): Work {
  const [from, to] = [16, 16 + Math.floor(T / 4)];
  const floats = (name: string, dims: number[], data: number[]) => ({
    knob: {
      name,
      elemType: DataType.FLOAT,
      shape: dims.map(() => 'n'),
      neutral: { dims, data: new Float32Array(data.length) },
    },
    value: { dims, data },
  });
  const each = (f: (t: number) => number) => Array.from({ length: T }, (_, t) => f(t));
  const given = {
    sink: floats('sink', [1, T], each(isSink)),
    visual: floats(
      'visual',
      [1, T],
      each((t) => Number(t >= from && t < to)),
    ),
    p: floats('p', [1, 1], [0.6]),
    rho: floats('rho', [1, 1], [0.5]),
    min_visual: floats('min_visual', [1, 1], [0.2]),
  };
  const names = Object.fromEntries(Object.keys(given).map((name) => [name, name]));
  return {
    plan: {
      knobs: Object.values(given).map(({ knob }) => ({
        ...knob,
        shape: knob.shape.map((_, axis) => `${knob.name}:${axis}`),
      })),
      edits: decoder.map((site) => ({
        kind: 'expand',
        site,
        edits: [sinkRedistribution.with({ semantics: 'paper', rows: 'text' })],
        values: () => names,
      })),
    },
    values: Object.fromEntries(Object.entries(given).map(([name, { value }]) => [name, value])),
  };
}

const CONTENDERS: readonly Contender[] = [
  {
    name: 'head scale',
    work: (_shape, facts) => workOf(headScale({ scale: 0.7 }), facts),
    lowerings: ['keep-operator'],
    note: 'one Mul over the output',
  },
  {
    name: 'ZeroTuning, one γ',
    work: (_shape, facts) => workOf(zeroTuning({ gamma: 1.35 }), facts),
    lowerings: ['keep-operator', 'keep-in-blocks', 'expand'],
    note: 'a bias [1, 1, S, T], by blocks [1, 1, 128, T]',
  },
  {
    name: 'ZeroTuning, γ per head',
    work: (shape, facts) => workOf(zeroTuning({ gamma: perHead(shape) }), facts),
    lowerings: ['keep-operator', 'keep-in-blocks', 'expand'],
    note: 'a bias [1, H, S, T], by blocks [1, H, 128, T]',
  },
  {
    name: 'ACT, frozen',
    work: (_shape, facts) => workOf(act({ heads: 'all', statistics: 'frozen' }), facts),
    lowerings: ['expand'],
    note: 'two small products and two passes',
  },
  {
    name: 'ACT, running',
    work: (_shape, facts) => workOf(act({ heads: 'all' }), facts),
    lowerings: ['expand'],
    note: 'one pass for outputs and sums of columns, then a correction by the columns of sinks',
  },
  {
    name: 'VAR',
    work: redistribution,
    lowerings: ['expand'],
    note: 'two small products and two passes',
  },
];

/** What is used has the bound; the operator in one call stands beside its blocks for comparison. */
const BOUNDS: Readonly<Record<LoweringName, { decode?: number; prefill?: number }>> = {
  'keep-operator': {},
  'keep-in-blocks': { decode: 1.03, prefill: 1.1 },
  expand: { decode: 1.2, prefill: 1.9 },
  'at-pattern': {},
  // Against transformers.js, with the model around it: bench native.
  native: {},
};

const PEAK = join(import.meta.dirname, `peak${extname(import.meta.filename)}`);

const runners = new Map<ExecutionProvider, Promise<Runner>>();

function runnerOf(ep: ExecutionProvider): Promise<Runner> {
  const known = runners.get(ep) ?? createRunner(ep, { threads: 0 });
  runners.set(ep, known);
  return known;
}

const memory: Case = {
  case: 'expand at T = 8192, 32 heads: peak MB above the inputs',
  bound: 600,
  bounds: 'value',
  run: async () => {
    const { stdout } = await promisify(execFile)(process.execPath, [...process.execArgv, PEAK]);
    return { value: Number(stdout) / 1e6, note: 'all scores at once would be 8,590 MB' };
  },
};

interface Place {
  readonly ep: ExecutionProvider;
  readonly shape: Shape;
  readonly call: (typeof CALLS)[number];
  readonly layers: number;
}

/** A model with the work compiled in, against the same model untouched. */
function measured(
  name: string,
  { ep, shape, call, layers }: Place,
  { work, note }: Contender,
  { lowering, bound }: { readonly lowering?: LoweringName; readonly bound: number | undefined },
): Case {
  return {
    case: name,
    ...(bound === undefined ? {} : { bound }),
    run: async ({ clock, effort }) => {
      const [runner, facts] = [await runnerOf(ep), await factsOf(shape, layers)];
      const feeds = feedsOf(shape, call, layers);
      const asked = work(shape, facts, call.S + call.past);
      const edited = compiled(facts, asked, { ep, lowering, feeds, past: call.past });
      const room = roomFor(shape, call, layers);
      const plain = await runner.prepare(runnable(facts.file.model), feeds, room);
      const candidate = await runner.prepare(edited.model, edited.feeds, room);
      const pairs = Math.max(1, Math.round(call.pairs * effort * (ep === 'cpu' ? 1 : 0.5)));
      const result = compare(await paired(plain, candidate, { pairs, warmUp: 2 }), clock);
      const { baselineMs, ms, ratio } = result;
      return { baselineMs, ms, ratio, note: `${note}; ${spread(result)}` };
    },
  };
}

/** What each case of a few layers measures: the key of a row of the cost table. */
export const MEASURED = new Map<
  string,
  { ep: string; shape: Shape; S: number; T: number; contender: Contender; lowering: LoweringName }
>();

/** @returns what of the cost table a contender measures, '' where it is not a matter of lowerings */
export async function costKey({ work }: Contender, shape: Shape, T: number): Promise<string> {
  const facts = await factsOf(shape, 1);
  return costKeyOf(work(shape, facts, T).plan.edits ?? []);
}

const PLACES: readonly Place[] = [
  ...SHAPES.flatMap((shape) => CALLS.map((call) => ({ ep: 'cpu', shape, call, layers: FEW }) as const)),
  // One thread without spinning takes its time: the smaller shape tells what wasm prefers.
  ...CALLS.filter(({ S }) => S <= 512).map(
    (call) => ({ ep: 'wasm', shape: SHAPES[1]!, call, layers: FEW }) as const,
  ),
];

const eachLowering = PLACES.flatMap((place) =>
  CONTENDERS.flatMap((contender) =>
    contender.lowerings.map((lowering) => {
      const { ep, shape, call } = place;
      const name = `${ep === 'cpu' ? '' : `${ep}, `}${shape.name}, ${call.name}, ${contender.name}, ${lowering}`;
      MEASURED.set(name, { ep, shape, S: call.S, T: call.S + call.past, contender, lowering });
      const bound = ep === 'cpu' ? BOUNDS[lowering][call.S === 1 ? 'decode' : 'prefill'] : undefined;
      return measured(name, place, contender, { lowering, bound });
    }),
  ),
);

/** All layers of a model while decoding, with the lowering that the cost table chooses. */
const allSites = SHAPES.flatMap((shape) =>
  CALLS.filter(({ S }) => S === 1).flatMap((call) =>
    CONTENDERS.filter(({ name }) => /^ZeroTuning|running$/.test(name)).map((contender) => {
      const place = { ep: 'cpu', shape, call, layers: shape.layers } as const;
      const name = `${shape.name}, ${shape.layers} sites, ${call.name}, ${contender.name}`;
      return measured(name, place, contender, { bound: contender.lowerings.length > 1 ? 1.03 : 1.2 });
    }),
  ),
);

export const kernelsSuite: Suite = {
  name: 'kernels',
  summary: 'attention of a few layers and of all, untouched against compiled',
  cases: [memory, ...eachLowering, ...allSites],
  async close() {
    for (const runner of runners.values()) await (await runner)[Symbol.asyncDispose]();
    runners.clear();
  },
};
