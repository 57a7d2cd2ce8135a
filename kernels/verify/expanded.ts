/** Solves Problems with the expanded lowering: a graph of one site, its edits' knobs set from the problem. */
import { DataType } from '../../onnx/index.ts';
import { type ExpandedSite, expandedAttention } from '../lowerings/expanded.ts';
import type { Problem, Solution } from '../problem.ts';
import { feed, flat, rows } from './feeds.ts';
import { planOf } from './plan.ts';
import type { Feed, Runner } from './runner.ts';
import { solveSegments } from './segments.ts';
import { runParts, SITE } from './site-graph.ts';

export interface ExpandedSolveOptions {
  readonly opset?: number;
  readonly elemType?: number;
  /** Also give probabilities: the whole map at once, no blocks. */
  readonly tapPattern?: boolean;
  readonly blockBytes?: number;
}

export async function solveExpanded(
  runner: Runner,
  problem: Problem,
  { opset = 21, elemType = DataType.FLOAT, tapPattern, blockBytes }: ExpandedSolveOptions = {},
): Promise<Solution> {
  const { q, k, v, mask = {} } = problem;
  if (problem.edits?.some(({ edit }) => edit.row.stage === 'documents')) {
    return solveSegments(runner, problem, { opset, elemType, tapPattern, blockBytes });
  }
  const [, H, S, D] = q.shape as [number, number, number, number];
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
    bias: problem.bias ? 'bias' : undefined,
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
  if (problem.bias) feeds.bias = feed(problem.bias, elemType);
  return runParts(runner, { problem, plan, parts: [lowered], feeds, elemType });
}
