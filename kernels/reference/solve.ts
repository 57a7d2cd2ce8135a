/** The reference's answer to a Problem, through the primitives of this folder and partitioned attention. */
import { rowSinks, sinkGroups, sinksOf } from '../detect/sinks.ts';
import type { ActEdit, Problem, Solution, VarEdit } from '../problem.ts';
import { type Attention, type AttentionOptions, attention, softmax, valuesOf } from './attention.ts';
import { columnScore, columnStatistics } from './column-statistics.ts';
import { headAffine } from './head-affine.ts';
import { groupMasses, mergeGroups, partitionedAttention } from './partitioned-attention.ts';
import {
  actRule,
  massesOf,
  probTransfer,
  type TransferRule,
  transferWeights,
  VAR_GROUP,
  varRule,
  zeroTuningRule,
} from './prob-transfer.ts';
import { segmentScores } from './segments.ts';
import { at, block, build, type Tensor } from './tensor.ts';

export function solve(problem: Problem): Solution {
  const { q, k, v, edit, mask, scale, softcap, headSink } = problem;
  const options: AttentionOptions = { mask, scale, softcap, headSink };
  if (edit.kind === 'segments') {
    const { scores, visible } = segmentScores(q, k, edit.segments, edit.rope, scale);
    const probs = softmax(scores, visible, headSink);
    return { output: valuesOf(probs, v), probs };
  }
  const base = attention(q, k, v, options);
  const before = { baseOutput: base.output, baseProbs: base.probs };
  switch (edit.kind) {
    case 'none':
      return { ...before, output: base.output, probs: base.probs };
    case 'logits':
      return { ...before, ...attention(q, k, v, { ...options, affine: edit }) };
    case 'heads':
      return { ...before, output: headAffine(base.output, edit) };
    case 'logWeights': {
      const [B, T] = edit.keys.shape as [number, number];
      const groups = build([B, 1, 1, T], (b, _h, _s, t) => Number(at(edit.keys, b!, t!) !== 0));
      return { ...before, ...transfer(problem, base, options, groups, 2, zeroTuningRule(edit.weight)) };
    }
    case 'act':
      return { ...before, ...solveAct(problem, edit, base, options) };
    case 'var':
      return { ...before, ...solveVar(problem, edit, base, options) };
  }
}

/** Edits the map, and checks nothing: output comes from group accumulators, probs from the map itself. */
function transfer(
  { q, k, v }: Problem,
  base: Attention,
  options: AttentionOptions,
  groups: Tensor,
  G: number,
  rule: TransferRule,
): Solution {
  const partition = partitionedAttention(q, k, v, groups, G, options);
  const weights = transferWeights(groupMasses(partition), rule);
  return {
    output: mergeGroups(partition, weights),
    probs: probTransfer(base.probs, groups, G, rule),
    masses: massesOf(base.probs, groups, G),
    weights,
  };
}

function solveAct(problem: Problem, edit: ActEdit, base: Attention, options: AttentionOptions): Solution {
  const before = edit.stats === 'running' ? edit.before : undefined;
  const state = columnStatistics(base.probs, base.visible, before);
  const score = columnScore(state);
  const sinks =
    edit.stats === 'frozen'
      ? edit.sinks!
      : edit.stats === 'row'
        ? rowSinks(base.probs, base.visible, edit)
        : sinksOf(score, state.count, edit);
  const rule = actRule(edit.beta, new Set(edit.heads));
  return { ...transfer(problem, base, options, sinkGroups(sinks), 2, rule), sinks, score, state };
}

function solveVar(problem: Problem, edit: VarEdit, base: Attention, options: AttentionOptions): Solution {
  const [B, T] = edit.sink.shape as [number, number];
  const groups = build([B, 1, 1, T], (b, _h, _s, t) => {
    const visual = at(edit.visual, b!, t!) !== 0;
    if (at(edit.sink, b!, t!) === 0) return visual ? VAR_GROUP.visual : VAR_GROUP.other;
    return visual ? VAR_GROUP.visualSink : VAR_GROUP.textSink;
  });
  const count = (of: (b: number, t: number) => boolean) =>
    Array.from({ length: B }, (_, b) => [...Array(T).keys()].filter((t) => of(b, t)).length);
  const isSink = (b: number, t: number) => at(edit.sink, b, t) !== 0;
  const isVisual = (b: number, t: number) => at(edit.visual, b, t) !== 0;
  const rule = varRule({
    ...edit,
    sinks: count(isSink),
    visualTokens: count(isVisual),
    visualSinks: count((b, t) => isSink(b, t) && isVisual(b, t)),
  });
  return transfer(problem, base, options, groups, 4, rule);
}

/** Rows [from, to) of the S axis of a (B, N, S, D) tensor. */
export function sliceRows(x: Tensor, from: number, to: number): Tensor {
  const [B, N, , D] = x.shape as [number, number, number, number];
  return build([B, N, to - from, D], (b, n, s, d) => block(x, b!, n!, from + s!)[d!]!);
}
