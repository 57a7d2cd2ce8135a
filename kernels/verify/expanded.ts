/** Solves Problems with the expanded lowering: a graph of one site, its edits' knobs set from the problem. */
import { AttuneError } from '../../errors.ts';
import { DataType, makeGraph, makeValueInfo, type ValueInfo } from '../../hooks/onnx/index.ts';
import type { Edit } from '../lowerings/edits.ts';
import { type ExpandedSite, expandedAttention } from '../lowerings/expanded.ts';
import type { ActEdit, Problem, Solution, VarEdit } from '../problem.ts';
import { at, build, map, type Tensor, tensor } from '../reference/tensor.ts';
import type { Feed, Result, Runner } from './runner.ts';

/** What a problem's edit asks of the lowering: edits, and knob values by their local names. */
interface Plan {
  readonly edits: readonly Edit[];
  readonly knobs: Readonly<Record<string, Tensor>>;
  /** (B|1, H|1, S, T), for a bias no knob can express. */
  readonly bias?: Tensor | undefined;
}

export interface ExpandedSolveOptions {
  readonly opset?: number;
  readonly elemType?: number;
  /** Also give probabilities: the whole map at once, no blocks. */
  readonly tapPattern?: boolean;
  readonly blockBytes?: number;
}

const SITE = 'site';

export async function solveExpanded(
  runner: Runner,
  problem: Problem,
  { opset = 21, elemType = DataType.FLOAT, tapPattern, blockBytes }: ExpandedSolveOptions = {},
): Promise<Solution> {
  const { q, k, v, mask = {}, edit } = problem;
  const [B, H, S, D] = q.shape as [number, number, number, number];
  const [, K, T, E] = v.shape as [number, number, number, number];
  const past = T - S;
  const plan = planOf(problem);
  const site: ExpandedSite = {
    name: SITE,
    opset,
    elemType,
    H,
    K,
    D,
    q: { value: 'q', layout: 'BS(ND)' },
    k: { value: 'k', layout: 'BS(ND)' },
    v: { value: 'v', layout: 'BS(ND)' },
    past: past > 0 ? { k: 'past_k', v: 'past_v' } : undefined,
    scale: problem.scale,
    softcap: problem.softcap,
    causal: mask.causal ?? true,
    window: mask.window,
    headSink: problem.headSink ? 'head_sink' : undefined,
    keys: mask.keys ? 'mask' : undefined,
    bias: plan.bias ? 'bias' : undefined,
    z: { value: 'z', layout: 'BS(ND)' },
  };
  const lowered = expandedAttention(site, { edits: plan.edits, tapPattern, blockBytes });

  const feeds: Record<string, Feed> = {
    q: flat(q, 0, S, elemType),
    k: flat(k, past, T, elemType),
    v: flat(v, past, T, elemType),
  };
  if (past > 0) {
    feeds.past_k = rows(k, 0, past, elemType);
    feeds.past_v = rows(v, 0, past, elemType);
  }
  if (problem.headSink) feeds.head_sink = feed(problem.headSink);
  if (mask.keys) feeds.mask = feed(mask.keys, DataType.INT64);
  if (plan.bias) feeds.bias = feed(plan.bias, elemType);
  for (const knob of lowered.knobs) {
    const value = plan.knobs[knob.name.slice(SITE.length + 1)];
    if (!value) throw new AttuneError('KNOB_MISSING', { found: knob.name });
    feeds[knob.name] = feed(value, knob.elemType);
  }
  const before = edit.kind === 'act' ? edit.before : undefined;
  for (const { input } of lowered.states) {
    const known = input.endsWith('sum') ? before?.sum : before && perBatch(before.count);
    feeds[input] = feed(known ?? tensor([B, input.endsWith('sum') ? H : 1, 0], []));
  }

  const outputs = [
    'z',
    ...lowered.states.map(({ output }) => output),
    ...lowered.taps.map(({ value }) => value),
  ];
  const graph = makeGraph('site', {
    nodes: lowered.nodes,
    inputs: Object.entries(feeds).map(([name, { elemType: type, dims }]) =>
      makeValueInfo(name, type, symbolic(name, dims)),
    ),
    outputs: outputs.map((name): ValueInfo => makeValueInfo(name, name === 'z' ? elemType : DataType.FLOAT)),
    initializers: lowered.initializers,
  });
  const results = await runner.run({ graph, functions: lowered.functions, opsets: lowered.opsets }, feeds);
  const tap = (name: string) => {
    const found = lowered.taps.find((one) => one.name === name);
    return found && asTensor(results[found.value]!);
  };
  const [sumState, countState] = lowered.states.map(({ output }) => asTensor(results[output]!));
  const z = asTensor(results.z!);
  const isReal = (b: number, t: number) => !mask.keys || at(mask.keys, b, t) !== 0;
  const masked = (probs: Tensor | undefined) =>
    probs && build(probs.shape, (b, h, s, t) => (isReal(b!, past + s!) ? at(probs, b!, h!, s!, t!) : 0));
  return {
    // Rows that are padding are nobody's: the reference leaves them zero.
    output: build([B, H, S, E], (b, h, s, e) => (isReal(b!, past + s!) ? at(z, b!, s!, h! * E + e!) : 0)),
    probs: masked(tap('pattern_edited')),
    // Edits of the logits come before the first tap.
    baseProbs: edit.kind === 'act' || edit.kind === 'var' ? masked(tap('pattern')) : undefined,
    sinks: tap('sinks'),
    score: tap('score'),
    state:
      sumState && countState
        ? { sum: sumState, count: tensor([B, T], repeatRows(countState, B, T)) }
        : undefined,
  };
}

function repeatRows(x: Tensor, B: number, T: number): number[] {
  return Array.from({ length: B * T }, (_, i) => x.data[x.data.length === T ? i % T : i]!);
}

function planOf({ q, k, edit }: Problem): Plan {
  const [B, H, S] = q.shape as [number, number, number];
  const T = k.shape[2]!;
  switch (edit.kind) {
    case 'none':
      return { edits: [], knobs: {} };
    case 'heads':
      if (edit.direction) break;
      return { edits: [{ kind: 'headScale' }], knobs: { head_scale: edit.scale ?? tensor([1, 1], [1]) } };
    case 'logWeights': {
      const log_weight = tensor([1, H], edit.weight.map(logWeight));
      return { edits: [{ kind: 'logWeights', keys: 'given' }], knobs: { log_weight, keys: edit.keys } };
    }
    case 'logits': {
      const edits: Edit[] = [];
      const knobs: Record<string, Tensor> = {};
      if (edit.a) {
        edits.push({ kind: 'temperature' });
        knobs.a = build([1, H], (_, h) => at(edit.a!, 0, h!, 0, 0));
      }
      if (edit.b) {
        edits.push({ kind: 'gain', rows: edit.b.shape[2] === 1 && S > 1 ? 'all' : 'last' });
        knobs.b = build([B, H, T], (b, h, t) => at(edit.b!, b!, h!, S - 1, t!));
      }
      if (edit.c && edit.c.shape[2] === 1) {
        edits.push({ kind: 'bias' });
        knobs.key_bias = build([B, H, T], (b, h, t) => at(edit.c!, b!, h!, 0, t!));
        return { edits, knobs };
      }
      return { edits, knobs, bias: edit.c };
    }
    case 'act':
      return planAct(edit, H);
    case 'var':
      return planVar(edit, T - S);
    case 'segments':
      break;
  }
  throw new AttuneError('LOWERING_LACKS_EDIT', { found: edit.kind, at: 'expanded' });
}

function planAct(edit: ActEdit, H: number): Plan {
  const { threshold, stats } = edit;
  const knobs: Record<string, Tensor> = {
    beta: build([1, H], (_, h) => (edit.heads.includes(h!) ? edit.beta : 1)),
    tau: tensor([1, 1], [threshold.mode === 'absolute' ? threshold.tau : 0]),
    alpha: tensor([1, 1], [threshold.mode === 'relative' ? threshold.alpha : 0]),
    first: tensor([edit.first.length], edit.first),
  };
  if (edit.sinks) knobs.sinks = edit.sinks;
  return { edits: [{ kind: 'act', stats, exclude: edit.exclude }], knobs };
}

function planVar(edit: VarEdit, past: number): Plan {
  const [B, S] = edit.eligible.shape as [number, number];
  const scalar = (value: number) => tensor([1, 1], [value]);
  const knobs = {
    sink: edit.sink,
    visual: edit.visual,
    rows_from: build([B], (b) => {
      const first = [...Array(S).keys()].find((s) => at(edit.eligible, b!, s) !== 0);
      return past + (first ?? S);
    }),
    p: scalar(edit.p),
    rho: scalar(edit.rho),
    min_visual: scalar(edit.minVisual),
  };
  return { edits: [{ kind: 'var', semantics: edit.semantics }], knobs };
}

/** ln w, and for w = 0 a bias that empties the key wherever another is visible. */
export function logWeight(weight: number): number {
  return weight > 0 ? Math.log(weight) : -200;
}

function feed(x: Tensor, elemType: number = DataType.FLOAT): Feed {
  return { elemType, dims: x.shape, values: x.data };
}

/** Rows [from, to) of (B, N, ·, D). */
function rows(x: Tensor, from: number, to: number, elemType: number): Feed {
  const [B, N, , D] = x.shape as [number, number, number, number];
  return feed(
    build([B, N, to - from, D], (b, n, s, d) => at(x, b!, n!, from + s!, d!)),
    elemType,
  );
}

/** The same as (B, ·, N·D). */
function flat(x: Tensor, from: number, to: number, elemType: number): Feed {
  const [B, N, , D] = x.shape as [number, number, number, number];
  const value = build([B, to - from, N * D], (b, s, i) => at(x, b!, Math.floor(i! / D), from + s!, i! % D));
  return feed(value, elemType);
}

function perBatch(count: Tensor): Tensor {
  const [B, P] = count.shape as [number, number];
  return tensor([B, 1, P], count.data);
}

/** Declared shapes: only ranks and head sizes are fixed, as in exported models. */
function symbolic(name: string, dims: readonly number[]): (number | string)[] {
  const keep = ['q', 'k', 'v', 'past_k', 'past_v'].includes(name);
  return dims.map((dim, i) =>
    keep && (i === dims.length - 1 || (dims.length === 4 && i === 1)) ? dim : `${name}_${i}`,
  );
}

export function asTensor({ dims, data }: Result): Tensor {
  return map(tensor(dims, Array.from(data, Number)), (x) => x);
}
