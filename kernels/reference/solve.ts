/** The reference's answer to a Problem: plain attention, and the float64 equations of its edits one after another. */
import type { Solved, Solving, Stage } from '../edits/edit.ts';
import { placeOf } from '../edits/index.ts';
import type { AppliedEdit, Problem, Solution } from '../problem.ts';
import { type Attention, attention, biased, softmax, valuesOf } from './attention.ts';
import { groupMasses, mergeGroups, partitionedAttention } from './partitioned-attention.ts';
import { type Transferred, transferWeights } from './prob-transfer.ts';
import { block, build, type Tensor, tensor } from './tensor.ts';

export function solve({ edits = [], ...call }: Problem): Solution {
  const { q, k, v, bias, headSink } = call;
  const base = attention(q, k, v, call);
  const { visible } = base;
  const place = { ...call, visible, past: k.shape[2]! - q.shape[2]!, raw: base.scores, before: base.probs };
  const run = (stage: Stage, start: Tensor, more: Partial<Solving> = {}): Run => {
    const own = edits.filter(({ edit }) => edit.row.stage === stage);
    return apply({ ...place, ...more }, own, start);
  };

  const logits = run('logits', base.scores).value;
  const asItIs = logits === base.scores ? base.probs : softmax(biased(logits, bias), visible, headSink);
  const before = run('documents', asItIs).value;
  const pattern = run('probabilities', before, { before });
  const [transfer, ...others] = pattern.transfers;
  // Of one transfer the output comes from group accumulators, and checks them; else from the map itself.
  const merged = before === base.probs && transfer && others.length === 0;
  const z = merged ? fromGroups(call, transfer) : outputOf(base, pattern.value, v);
  const documents = edits.some(({ edit }) => edit.row.stage === 'documents');
  return {
    output: run('outputs', z).value,
    probs: pattern.value,
    baseOutput: documents ? undefined : base.output,
    baseProbs: documents ? undefined : base.probs,
    found: pattern.found,
    states: pattern.states,
    masses: transfer?.masses,
    weights: transfer?.weights,
  };
}

interface Run {
  readonly value: Tensor;
  readonly found: Record<string, Tensor>;
  readonly states: Record<string, Tensor>;
  readonly transfers: readonly Transferred[];
}

/** The edits of one stage, in their order. */
function apply(call: Omit<Solving, 'value' | 'state'>, edits: readonly AppliedEdit[], start: Tensor): Run {
  const found: Record<string, Tensor> = {};
  const states: Record<string, Tensor> = {};
  const transfers: Transferred[] = [];
  let value = start;
  for (const { edit, values } of [...edits].sort((a, b) => placeOf(a.edit) - placeOf(b.edit))) {
    const { row, options } = edit;
    const neutral = new Map(row.knobs(options).map(({ name, axes, neutral: x }) => [name, { axes, x }]));
    const solved: Solved = row.solve(
      options,
      {
        ...call,
        value: (name) => {
          const { axes, x } = neutral.get(name)!;
          return (
            values[name] ??
            tensor(
              axes.map(() => 1),
              [x],
            )
          );
        },
        state: (name) => values[`past_${name}`],
      },
      value,
    );
    value = solved.value;
    Object.assign(found, solved.found);
    Object.assign(states, solved.states);
    if (solved.transfer) transfers.push(solved.transfer);
  }
  return { value, found, states, transfers };
}

function outputOf(base: Attention, probs: Tensor, v: Tensor): Tensor {
  return probs === base.probs ? base.output : valuesOf(probs, v);
}

function fromGroups(call: Omit<Problem, 'edits'>, { groups, rule, masses }: Transferred): Tensor {
  const partition = partitionedAttention(call.q, call.k, call.v, groups, masses.shape[3]!, call);
  return mergeGroups(partition, transferWeights(groupMasses(partition), rule));
}

/** Rows [from, to) of the S axis of a (B, N, S, D) tensor. */
export function sliceRows(x: Tensor, from: number, to: number): Tensor {
  const [B, N, , D] = x.shape as [number, number, number, number];
  return build([B, N, to - from, D], (b, n, s, d) => block(x, b!, n!, from + s!)[d!]!);
}
