/**
 * One attention site, GroupQueryAttention untouched against lowered. Shapes are those of Llama-3.2-1B and Qwen2.5-0.5B.
 * The bounds are those of a fused operator that stays and of one that is expanded; `note` says what limits each.
 */
import { execFile } from 'node:child_process';
import { extname, join } from 'node:path';
import { promisify } from 'node:util';
import type { LoweringChoice, Method } from '../../kernels/costs/choose.ts';
import type { Edit } from '../../kernels/edits/edit.ts';
import { headScale } from '../../kernels/edits/head-scale.ts';
import { logWeights } from '../../kernels/edits/log-weights.ts';
import { sinkCalibration } from '../../kernels/edits/sink-calibration/index.ts';
import { sinkRedistribution } from '../../kernels/edits/sink-redistribution/index.ts';
import { expandedAttention } from '../../kernels/lowerings/expanded.ts';
import { fusedAttention } from '../../kernels/lowerings/fused.ts';
import { openGroupQueryAttention } from '../../kernels/lowerings/group-query-attention.ts';
import { type Lowered, lowered } from '../../kernels/lowerings/lowered.ts';
import {
  createRunner,
  type ExecutionProvider,
  type Feed,
  type RunnableGraph,
  type Runner,
} from '../../kernels/verify/runner.ts';
import { emitter } from '../../onnx/emitter.ts';
import { DataType, makeGraph, makeNode, makeValueInfo, tensorValues } from '../../onnx/index.ts';
import { compare, paired, spread } from '../paired.ts';
import type { Case, Suite } from '../suite.ts';
import { allSites } from './all-sites.ts';
import { CALLS, feedsOf, isSink, SHAPES, type Shape } from './site.ts';

interface KnobValue {
  readonly dims: readonly number[];
  readonly value: number | ((i: number) => number);
}

interface Contender {
  readonly name: string;
  /** What of the cost table it measures; absent where it is no method. */
  readonly method?: Method;
  readonly lowering: LoweringChoice;
  readonly edits: readonly Edit[];
  /** Knob values other than neutral, by local name: a number all over the given shape, or one by place. */
  readonly knobs?: (shape: Shape, T: number) => Record<string, KnobValue>;
  readonly note: string;
}

const gammas = (heads: (shape: Shape) => number) => (shape: Shape) => ({
  log_weight: { dims: [1, heads(shape)], value: 0.3 },
});
const ONE_GAMMA = gammas(() => 1);
const GAMMA_PER_HEAD = gammas(({ H }) => H);
const LOG_WEIGHTS: readonly Edit[] = [logWeights.with({ keys: 'first' })];

const ACT = {
  beta: ({ H }: Shape): KnobValue => ({ dims: [1, H], value: 0.4 }),
  alpha: { dims: [1, 1], value: 5 },
};

/** A picture that takes a quarter of the prompt, after a few words. */
const VAR: Contender['knobs'] = (_shape, T) => {
  const [from, to] = [16, 16 + Math.floor(T / 4)];
  return {
    sink: { dims: [1, T], value: isSink },
    visual: { dims: [1, T], value: (t) => Number(t >= from && t < to) },
    rows_from: { dims: [1], value: to },
    p: { dims: [1, 1], value: 0.6 },
  };
};

const CONTENDERS: readonly Contender[] = [
  {
    name: 'fused headScale',
    method: 'headScale',
    lowering: 'fused',
    edits: [headScale.with()],
    note: 'one Mul over the output',
  },
  {
    name: 'expanded headScale',
    method: 'headScale',
    lowering: 'expanded',
    edits: [headScale.with()],
    note: 'bound by passes over the scores',
  },
  {
    name: 'fused in blocks, one γ',
    method: 'logWeights',
    lowering: 'fused-blocks',
    edits: LOG_WEIGHTS,
    knobs: ONE_GAMMA,
    note: 'the operator by 128 rows and the keys up to them: skips what the causal order hides',
  },
  {
    name: 'fused in blocks, γ per head',
    method: 'logWeights per head',
    lowering: 'fused-blocks',
    edits: LOG_WEIGHTS,
    knobs: GAMMA_PER_HEAD,
    note: 'as with one γ; a bias [1, H, 128, T] per block',
  },
  {
    name: 'fused in one call, one γ',
    method: 'logWeights',
    lowering: 'fused',
    edits: LOG_WEIGHTS,
    knobs: ONE_GAMMA,
    note: 'bias [1, 1, S, T], read once per head',
  },
  {
    name: 'fused in one call, γ per head',
    method: 'logWeights per head',
    lowering: 'fused',
    edits: LOG_WEIGHTS,
    knobs: GAMMA_PER_HEAD,
    note: 'bias [1, H, S, T]: bound by reading H·S·T floats',
  },
  { name: 'expanded, no edit', lowering: 'expanded', edits: [], note: 'bound by passes over the scores' },
  {
    name: 'expanded, one γ',
    method: 'logWeights',
    lowering: 'expanded',
    edits: LOG_WEIGHTS,
    knobs: ONE_GAMMA,
    note: 'one more pass over the scores',
  },
  {
    name: 'expanded, γ per head',
    method: 'logWeights per head',
    lowering: 'expanded',
    edits: LOG_WEIGHTS,
    knobs: GAMMA_PER_HEAD,
    note: 'one more pass over the scores',
  },
  {
    name: 'expanded ACT, frozen',
    method: 'act frozen',
    lowering: 'expanded',
    edits: [sinkCalibration.with({ stats: 'frozen', exclude: 'initial' })],
    knobs: (shape, T) => ({
      beta: ACT.beta(shape),
      sinks: { dims: [1, 1, T], value: (t) => Number(t > 0 && isSink(t)) },
    }),
    note: 'two small products and two passes',
  },
  {
    name: 'expanded ACT, running',
    method: 'act running',
    lowering: 'expanded',
    edits: [sinkCalibration.with({ stats: 'running', exclude: 'initial' })],
    knobs: (shape) => ({ beta: ACT.beta(shape), alpha: ACT.alpha }),
    note: 'one pass for outputs and sums of columns, then a correction by the columns of sinks',
  },
  {
    name: 'expanded VAR',
    method: 'var',
    lowering: 'expanded',
    edits: [sinkRedistribution.with({ semantics: 'paper' })],
    knobs: VAR,
    note: 'two small products and two passes',
  },
];

/** The operator in one call stands beside its blocks for comparison; what is used has the bound. */
const BOUNDS: Readonly<Record<LoweringChoice, { decode?: number; prefill?: number }>> = {
  fused: {},
  'fused-blocks': { decode: 1.03, prefill: 1.1 },
  expanded: { decode: 1.2, prefill: 1.9 },
};

const PEAK = join(import.meta.dirname, `peak${extname(import.meta.filename)}`);

const runners = new Map<ExecutionProvider, Promise<Runner>>();

function runnerOf(ep: ExecutionProvider): Promise<Runner> {
  const known = runners.get(ep) ?? createRunner(ep, { threads: 0 });
  runners.set(ep, known);
  return known;
}

const memory: Case = {
  case: 'expanded at T = 8192, 32 heads: peak MB above the inputs',
  bound: 600,
  bounds: 'value',
  run: async () => {
    const { stdout } = await promisify(execFile)(process.execPath, [...process.execArgv, PEAK]);
    return { value: Number(stdout) / 1e6, note: 'all scores at once would be 8,590 MB' };
  },
};

/** What each case measures: the key of a row of the cost table. */
export const MEASURED = new Map<
  string,
  { ep: string; shape: string; S: number; T: number; contender: Contender }
>();

const PLACES = [
  ...SHAPES.flatMap((shape) => CALLS.map((call) => ({ ep: 'cpu', shape, call }) as const)),
  // One thread without spinning takes its time: the smaller shape tells what wasm prefers.
  ...CALLS.filter(({ S }) => S <= 512).map((call) => ({ ep: 'wasm', shape: SHAPES[1]!, call }) as const),
];

const cases: Case[] = PLACES.flatMap(({ ep, shape, call }) =>
  CONTENDERS.map((contender): Case => {
    const name = `${ep === 'cpu' ? '' : `${ep}, `}${shape.name}, ${call.name}, ${contender.name}`;
    MEASURED.set(name, { ep, shape: shape.name, S: call.S, T: call.S + call.past, contender });
    const bound = BOUNDS[contender.lowering][call.S === 1 ? 'decode' : 'prefill'];
    return {
      case: name,
      ...(ep === 'cpu' && bound !== undefined ? { bound } : {}),
      run: async ({ clock, effort }) => {
        const bench = await runnerOf(ep);
        const feeds = feedsOf(shape, call);
        const parts = lower(contender, shape);
        const all = {
          ...feeds,
          ...knobFeeds(parts, contender.knobs?.(shape, call.S + call.past)),
          ...stateFeeds(parts, call.past),
        };
        const plain = await bench.prepare(graphOf([untouched(shape)], feeds), feeds);
        const edited = await bench.prepare(graphOf(parts, all), all);
        const pairs = Math.max(1, Math.round(call.pairs * effort * (ep === 'cpu' ? 1 : 0.5)));
        const result = compare(await paired(plain, edited, { pairs, warmUp: 2 }), clock);
        const { baselineMs, ms, ratio } = result;
        return { baselineMs, ms, ratio, note: `${contender.note}; ${spread(result)}` };
      },
    };
  }),
);

export const kernelsSuite: Suite = {
  name: 'kernels',
  summary: 'one attention site, untouched against lowered',
  cases: [memory, ...cases, ...allSites(() => runnerOf('cpu'))],
  async close() {
    for (const runner of runners.values()) await (await runner)[Symbol.asyncDispose]();
    runners.clear();
  },
};

const OPSET = 21;
const SITE = 'site';

function operator({ H, K }: Shape) {
  return makeNode(
    'com.microsoft.GroupQueryAttention',
    ['q', 'k', 'v', 'past_k', 'past_v', 'seqlens', 'total', 'cos', 'sin'],
    ['z', 'present_k', 'present_v'],
    { attributes: { num_heads: H, kv_num_heads: K, do_rotary: 1 } },
  );
}

const untouched = (shape: Shape): Lowered => ({ ...lowered(emitter(OPSET)), nodes: [operator(shape)] });

function lower({ lowering, edits }: Contender, shape: Shape): Lowered[] {
  const site = { name: SITE, opset: OPSET, elemType: DataType.FLOAT, node: operator(shape) };
  if (lowering === 'expanded') {
    const opened = openGroupQueryAttention({ ...site, D: shape.D });
    return [opened.opening, expandedAttention(opened.site, { edits })];
  }
  const z = { value: 'z', layout: 'BS(ND)' } as const;
  const S = [{ value: 'q', axis: 1 }];
  const blockRows = lowering === 'fused' ? 0 : undefined;
  return [fusedAttention({ ...site, H: shape.H, S, T: [{ scalar: 'total' }], z }, edits, { blockRows })];
}

function knobFeeds(
  parts: readonly Lowered[],
  loud: Readonly<Record<string, KnobValue>> = {},
): Record<string, Feed> {
  return Object.fromEntries(
    parts
      .flatMap((part) => part.knobs)
      .map(({ name, elemType, neutral }): [string, Feed] => {
        const own = loud[name.slice(SITE.length + 1)];
        if (!own) return [name, { elemType, dims: neutral.dims, values: tensorValues(neutral)! }];
        const { dims, value } = own;
        const length = dims.reduce((a, b) => a * b, 1);
        const values = Array.from({ length }, (_, i) => (typeof value === 'number' ? value : value(i)));
        return [name, { elemType, dims, values }];
      }),
  );
}

function stateFeeds(parts: readonly Lowered[], past: number): Record<string, Feed> {
  return Object.fromEntries(
    parts
      .flatMap((part) => part.states)
      .map(({ input, elemType, shape }) => {
        const dims = [1, Number(shape[1]), past];
        return [input, { elemType, dims, values: Array(dims[1]! * past).fill(1) }];
      }),
  );
}

function graphOf(parts: readonly Lowered[], feeds: Record<string, Feed>): RunnableGraph {
  const fixed = ['q', 'k', 'v', 'past_k', 'past_v', 'cos', 'sin'];
  const graph = makeGraph('site', {
    nodes: parts.flatMap(({ nodes }) => nodes),
    inputs: Object.entries(feeds).map(([name, { elemType, dims }]) => {
      const free = (axis: number) => !fixed.includes(name) || axis === dims.length - 2;
      return makeValueInfo(
        name,
        elemType,
        dims.map((dim, axis) => (free(axis) ? `${name}_${axis}` : dim)),
      );
    }),
    outputs: [
      ...['z', 'present_k', 'present_v'],
      ...parts.flatMap(({ states }) => states.map(({ output }) => output)),
    ].map((name) => makeValueInfo(name, DataType.FLOAT)),
  });
  const functions = new Map(parts.flatMap((part) => part.functions).map((fn) => [fn.name, fn]));
  return { graph, functions: [...functions.values()], opsets: parts[0]!.opsets };
}
