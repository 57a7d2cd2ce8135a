/** Solves Problems with the expanded lowering: a graph of one site, its edits' knobs set from the problem. */
import { DataType, makeGraph, makeValueInfo, type ValueInfo } from '../../hooks/onnx/index.ts';
import { type ExpandedSite, expandedAttention } from '../lowerings/expanded.ts';
import type { Problem, Solution } from '../problem.ts';
import { at, build, type Tensor, tensor } from '../reference/tensor.ts';
import { asTensor, feed, flat, headOutputs, perBatch, rows, symbolic } from './feeds.ts';
import { knobFeeds, planOf } from './plan.ts';
import type { Feed, Runner } from './runner.ts';

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
  const [, K, T] = v.shape as [number, number, number];
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
  Object.assign(feeds, knobFeeds(plan, lowered.knobs, SITE));
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
    output: headOutputs(z, problem),
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
