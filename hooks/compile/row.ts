/**
 * Edited attention while decoding: a call of one new row needs no more than the row's own probabilities, which a few small
 * nodes change. A GroupQueryAttention runs as it is and gives them beside its output; elsewhere they are a value of the graph.
 *
 * Operator reference: ONNX Runtime contrib operators, GroupQueryAttention, qk_output (2: after softmax) and output 3.
 * Letters: B batch, H query heads, K kv heads, T keys, E value size.
 */
import { type Emit, emitter } from '../../kernels/lowerings/emit.ts';
import { DataType, withAttributes } from '../onnx/index.ts';
import type { Site } from '../sites/site.ts';
import { joined, type Part } from './part.ts';
import type { EditContext } from './plan.ts';

export type Values = Readonly<Record<string, string>>;

/** An edit of one row, and when it stands for the whole. */
export interface RowForm {
  /** bool scalar. */
  readonly applies: string;
  /**
   * @param pattern float32 [B, H, T]
   * @param values of the edit's knobs, and what it carried here as past_…
   * @returns the pattern as edited, and what it carries on, by local name
   */
  edit(emit: Emit, pattern: string, values: Values): { pattern: string; states: Values };
}

/** Whether the operator can give the probabilities of a row: GroupQueryAttention in float32 whose output 3 is free. */
export function givesRow({ form, elemType, anchor }: Site): boolean {
  const float = elemType === undefined || elemType === DataType.FLOAT;
  return (form === 'P1a' || form === 'P1b') && float && !anchor.outputs[3];
}

/** bool scalar, once per graph: the call has one row, and keys before it. @param S rows @param T keys, int64 [1] */
export function isOneRow({ emit, once }: EditContext, S: string, T: string): string {
  return once(`one row of ${S} ${T}`, () => {
    const one = emit.op('Equal', [S, emit.ints(1)], 'one_row');
    const later = emit.op('Greater', [T, emit.ints(1)], 'later');
    return emit.reshape(emit.op('And', [one, later], 'decoding'), []);
  });
}

/** float32 [B, H, 1], once per graph. */
export function zeroPerHead({ emit, once, tokens }: EditContext, { numHeads, anchor }: Site): string {
  const batch = tokens ?? anchor.inputs[0]!;
  return once(`zero per head ${numHeads}`, () => {
    const shape = emit.shape([{ of: batch, axis: 0 }, numHeads, 1]);
    return emit.op('Expand', [emit.scalar(0), shape], 'zero');
  });
}

/**
 * The site's operator for one row, and its output from the edited probabilities. Results: z, presentK, presentV, and states.
 * @param site with the operator's inputs as they are after all other edits
 */
export function attendRow(name: string, opset: number, site: Site, row: RowForm, values: Values): Part {
  const emit = emitter(opset, `${name}.`);
  const { numHeads: H, kvHeads: K, anchor } = site;
  const node = withAttributes(anchor, { qk_output: 2 });
  const [, presentK, presentV, weights] = emit.copy(node, node.inputs, 4) as [string, string, string, string];
  const edited = row.edit(emit, emit('Squeeze', [weights, emit.ints(2)]), values);
  const grouped = emit('Reshape', [edited.pattern, emit.ints(0, K, H / K, -1)]);
  const perHead = emit('MatMul', [grouped, presentV]); // [B, K, H/K, E]
  const z = emit('Reshape', [perHead, emit.ints(0, 1, -1)]);
  return joined([emit], { ...edited.states, z, presentK, presentV });
}

/** The probabilities of one row where they are a value of the graph, [B, H, 1, T]. Results: pattern, and states. */
export function editRow(name: string, opset: number, pattern: string, row: RowForm, values: Values): Part {
  const emit = emitter(opset, `${name}.`);
  const edited = row.edit(emit, emit('Squeeze', [pattern, emit.ints(2)]), values);
  return joined([emit], { ...edited.states, pattern: emit('Unsqueeze', [edited.pattern, emit.ints(2)]) });
}
