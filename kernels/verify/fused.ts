/** Solves Problems with the lowerings that keep the fused operator, one graph per operator. */
import { AttuneError } from '../../errors.ts';
import { DataType, makeGraph, makeNode, makeValueInfo, type Node } from '../../hooks/onnx/index.ts';
import { expandedAttention } from '../lowerings/expanded.ts';
import { type FusedSite, fusedAttention } from '../lowerings/fused.ts';
import { openGroupQueryAttention } from '../lowerings/group-query-attention.ts';
import type { Lowered } from '../lowerings/lowered.ts';
import type { Problem, Solution } from '../problem.ts';
import { tensor } from '../reference/tensor.ts';
import { asTensor, feed, flat, headOutputs, rows, symbolic } from './feeds.ts';
import { knobFeeds, planOf } from './plan.ts';
import type { Feed, Runner } from './runner.ts';

export type FusedOperator = 'GroupQueryAttention' | 'MultiHeadAttention';

const SITE = 'site';

/** What a graph of one fused operator looks like: its node, and feeds. */
interface FusedGraph {
  readonly node: Node;
  readonly feeds: Record<string, Feed>;
  readonly T: FusedSite['T'];
}

/** Whether an operator can express a problem at all. */
export function operatorTakes(operator: FusedOperator, { q, k, mask, softcap, headSink }: Problem): boolean {
  if (operator === 'GroupQueryAttention') {
    // The CPU kernel: "batch_size must be 1 when sequence_length > 1 and past context is given".
    const [B, , S] = q.shape as [number, number, number];
    const chunk = S > 1 && k.shape[2]! > S;
    return mask?.causal !== false && !mask?.hidden && !(chunk && B > 1);
  }
  const plain = softcap === undefined && headSink === undefined && mask?.window === undefined;
  return plain && q.shape[1] === k.shape[1] && !mask?.hidden;
}

/**
 * @param open takes the operator apart and solves with the expanded lowering instead
 * @throws AttuneError LOWERING_LACKS_OPERATOR for a problem the operator cannot express
 */
export async function solveFused(
  runner: Runner,
  operator: FusedOperator,
  problem: Problem,
  { opset = 21, elemType = DataType.FLOAT as number, open = false } = {},
): Promise<Solution> {
  if (!operatorTakes(operator, problem)) {
    throw new AttuneError('LOWERING_LACKS_OPERATOR', { found: 'a problem beyond its options', at: operator });
  }
  const plan = planOf(problem);
  const [, H, , D] = problem.q.shape as [number, number, number, number];
  const { node, feeds, T } = (operator === 'GroupQueryAttention' ? groupQuery : multiHead)(problem, elemType);
  if (problem.mask?.keys) feeds.mask = feed(problem.mask.keys, DataType.INT64);
  const keys = problem.mask?.keys ? 'mask' : undefined;
  const z = { value: 'z', layout: 'BS(ND)' } as const;
  const S = [{ value: 'q', axis: 1 }];
  let parts: readonly Lowered[];
  if (open) {
    const opened = openGroupQueryAttention({ name: SITE, opset, elemType, node, D, keys });
    parts = [opened.opening, expandedAttention(opened.site, { edits: plan.edits, blockBytes: 1 })];
  } else {
    if (plan.bias) throw new AttuneError('LOWERING_LACKS_EDIT', { found: 'a bias per row', at: operator });
    parts = [fusedAttention({ name: SITE, opset, elemType, H, node, S, T, z, keys }, plan.edits)];
  }
  const knobs = parts.flatMap((part) => part.knobs);
  Object.assign(feeds, knobFeeds(plan, knobs, SITE));
  const graph = makeGraph('site', {
    nodes: parts.flatMap(({ nodes }) => nodes),
    inputs: Object.entries(feeds).map(([name, { elemType: type, dims }]) =>
      makeValueInfo(name, type, symbolic(name, dims)),
    ),
    outputs: ['z', 'present_k', 'present_v'].map((name) => makeValueInfo(name, elemType)),
  });
  const functions = [...new Map(parts.flatMap((part) => part.functions).map((fn) => [fn.name, fn])).values()];
  const results = await runner.run({ graph, functions, opsets: parts[0]!.opsets }, feeds);
  return { output: headOutputs(asTensor(results.z!), problem) };
}

function groupQuery({ q, k, v, mask, scale, softcap, headSink }: Problem, elemType: number): FusedGraph {
  const [B, H] = q.shape as [number, number];
  const [, K, T] = k.shape as [number, number, number];
  const feeds: Record<string, Feed> = {
    ...newAndPast(q, k, v, elemType),
    seqlens: feed(tensor([B], Array(B).fill(T - 1)), DataType.INT32),
    total: feed(tensor([], [T]), DataType.INT32),
  };
  if (headSink) feeds.head_sink = feed(headSink, elemType);
  const inputs = ['q', 'k', 'v', 'past_k', 'past_v', 'seqlens', 'total', '', '', '', ''];
  if (headSink) inputs.push('head_sink');
  const node = makeNode('com.microsoft.GroupQueryAttention', inputs, ['z', 'present_k', 'present_v'], {
    attributes: {
      num_heads: H,
      kv_num_heads: K,
      local_window_size: mask?.window ?? -1,
      ...(scale ? { scale: { float: scale } } : {}),
      ...(softcap ? { softcap: { float: softcap } } : {}),
    },
  });
  return { node, feeds, T: [{ scalar: 'total' }] };
}

function multiHead({ q, k, v, mask, scale }: Problem, elemType: number): FusedGraph {
  const node = makeNode(
    'com.microsoft.MultiHeadAttention',
    ['q', 'k', 'v', '', '', '', 'past_k', 'past_v'],
    ['z', 'present_k', 'present_v'],
    {
      attributes: {
        num_heads: q.shape[1]!,
        unidirectional: mask?.causal === false ? 0 : 1,
        ...(scale ? { scale: { float: scale } } : {}),
      },
    },
  );
  const T = [
    { value: 'past_k', axis: 2 },
    { value: 'k', axis: 1 },
  ];
  return { node, feeds: newAndPast(q, k, v, elemType), T };
}

function newAndPast(
  q: Problem['q'],
  k: Problem['k'],
  v: Problem['v'],
  elemType: number,
): Record<string, Feed> {
  const S = q.shape[2]!;
  const T = k.shape[2]!;
  return {
    q: flat(q, 0, S, elemType),
    k: flat(k, T - S, T, elemType),
    v: flat(v, T - S, T, elemType),
    past_k: rows(k, 0, T - S, elemType),
    past_v: rows(v, 0, T - S, elemType),
  };
}
