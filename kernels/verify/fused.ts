/** Solves Problems with the lowerings that keep the fused operator, one graph per operator. */
import { AttuneError } from '../../errors.ts';
import { changeNode, DataType, makeNode, type Node } from '../../onnx/index.ts';
import { expandedAttention } from '../lowerings/expanded.ts';
import { type FusedSite, fusedAttention } from '../lowerings/fused.ts';
import { openGroupQueryAttention } from '../lowerings/group-query-attention.ts';
import type { Lowered } from '../lowerings/lowered.ts';
import type { Problem, Solution } from '../problem.ts';
import { at, build, type Tensor, tensor } from '../reference/tensor.ts';
import { feed, flat, rows } from './feeds.ts';
import { planOf } from './plan.ts';
import type { Feed, Runner } from './runner.ts';
import { runParts, SITE } from './site-graph.ts';

export type FusedOperator = 'GroupQueryAttention' | 'MultiHeadAttention' | 'Attention';

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
  if (operator === 'Attention') return headSink === undefined && mask?.window === undefined && !mask?.hidden;
  const plain = softcap === undefined && headSink === undefined && mask?.window === undefined;
  return plain && q.shape[1] === k.shape[1] && !mask?.hidden;
}

export interface FusedOptions {
  readonly opset?: number;
  readonly elemType?: number;
  /** Take the operator apart and solve with the expanded lowering. */
  readonly open?: boolean;
  /** Rows of a block, of a GroupQueryAttention that stays. */
  readonly blockRows?: number | undefined;
}

/**
 * @throws AttuneError LOWERING_LACKS_OPERATOR for a problem the operator cannot express
 */
export async function solveFused(
  runner: Runner,
  operator: FusedOperator,
  problem: Problem,
  {
    opset = operator === 'Attention' ? 23 : 21,
    elemType = DataType.FLOAT,
    open = false,
    blockRows,
  }: FusedOptions = {},
): Promise<Solution> {
  if (!operatorTakes(operator, problem)) {
    throw new AttuneError('LOWERING_LACKS_OPERATOR', { found: 'a problem beyond its options', at: operator });
  }
  if (operator === 'GroupQueryAttention' && problem.q.shape[3]! % 8 !== 0) {
    return solvePadded(runner, operator, problem, { opset, elemType, open, blockRows });
  }
  const plan = planOf(problem);
  const [, H, , D] = problem.q.shape as [number, number, number, number];
  const { node: bare, feeds, T } = GRAPHS[operator](problem, elemType);
  if (problem.mask?.keys) feeds.mask = feed(problem.mask.keys, DataType.INT64);
  const node = problem.bias ? withBias(bare) : bare;
  if (problem.bias) feeds.bias = feed(problem.bias, elemType);
  const keys = problem.mask?.keys ? 'mask' : undefined;
  const z = { value: 'z', layout: 'BS(ND)' } as const;
  const S = [{ value: 'q', axis: 1 }];
  let parts: readonly Lowered[];
  if (open) {
    const opened = openGroupQueryAttention({ name: SITE, opset, elemType, node, D, keys });
    parts = [opened.opening, expandedAttention(opened.site, { edits: plan.edits, blockBytes: 1 })];
  } else {
    const place = { name: SITE, opset, elemType, H, node, S, T, z, keys };
    parts = [fusedAttention(place, plan.edits, { blockRows })];
  }
  return runParts(runner, { problem, plan, parts, feeds, elemType });
}

/** The operator with a bias of its own, as some exports have it. */
function withBias(node: Node): Node {
  const index = { GroupQueryAttention: 10, MultiHeadAttention: 5, Attention: 3 }[node.opType];
  return changeNode(node, { inputs: node.inputs.map((input, i) => (i === index ? 'bias' : input)) });
}

/** GroupQueryAttention wants head sizes that are multiples of 8; channels of zeros change nothing but the default scale. */
async function solvePadded(
  runner: Runner,
  operator: FusedOperator,
  problem: Problem,
  options: FusedOptions,
): Promise<Solution> {
  const { q, k, v } = problem;
  const [D, E] = [q.shape[3]!, v.shape[3]!];
  const width = 8 * Math.ceil(Math.max(D, E) / 8);
  const widened = (x: Tensor) => {
    const [B, N, S, own] = x.shape as [number, number, number, number];
    return build([B, N, S, width], (b, n, s, d) => (d! < own ? at(x, b!, n!, s!, d!) : 0));
  };
  const scale = problem.scale ?? 1 / Math.sqrt(D);
  const wide = { ...problem, q: widened(q), k: widened(k), v: widened(v), scale };
  const solution = await solveFused(runner, operator, wide, options);
  const [B, H, S] = q.shape as [number, number, number];
  return { ...solution, output: build([B, H, S, E], (b, h, s, e) => at(solution.output, b!, h!, s!, e!)) };
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

/** ai.onnx Attention, from operator set 23 on. */
function standard({ q, k, v, mask, scale, softcap }: Problem, elemType: number): FusedGraph {
  const node = makeNode(
    'Attention',
    ['q', 'k', 'v', '', 'past_k', 'past_v'],
    ['z', 'present_k', 'present_v'],
    {
      attributes: {
        q_num_heads: q.shape[1]!,
        kv_num_heads: k.shape[1]!,
        is_causal: mask?.causal === false ? 0 : 1,
        ...(scale ? { scale: { float: scale } } : {}),
        ...(softcap ? { softcap: { float: softcap } } : {}),
      },
    },
  );
  const T = [
    { value: 'past_k', axis: 2 },
    { value: 'k', axis: 1 },
  ];
  return { node, feeds: newAndPast(q, k, v, elemType), T };
}

const GRAPHS = {
  GroupQueryAttention: groupQuery,
  MultiHeadAttention: multiHead,
  Attention: standard,
} as const;

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
