/**
 * A fused operator with a bias put in front of it. Operators want every row of a bias to be there; where the rows of one
 * are alike they are made where they are used: for the whole call, or block by block.
 */

import type { Emit, Output } from '../../onnx/emitter.ts';
import { DataType, type Node } from '../../onnx/index.ts';
import { attendInBlocks, canTakeBlocks, type RowBlocks } from './row-blocks.ts';

export interface BiasedOperator {
  readonly node: Node;
  /** Its input for an additive bias [B|1, H|1, S, T]. A bias that is there stays in force, and must be of floats. */
  readonly position: number;
  /** DataType of its activations, which the bias must have. */
  readonly elemType: number;
  /** Rows of the call, int64 [1]. */
  readonly S: string;
  /** float32 [B|1, H|1, S|1, T]. */
  readonly bias: string;
  /** Head size, where known. */
  readonly D?: number | undefined;
  /** For a GroupQueryAttention: take long calls whose bias is not neutral in blocks. */
  readonly blocks?: RowBlocks | undefined;
}

/** Emits the operator; its outputs keep their names. A bias of zeros leaves them bit for bit. */
export function attendBiased(emit: Emit, operator: BiasedOperator): void {
  const { node, elemType, bias, blocks } = operator;
  const typed = toType(emit, bias, elemType);
  if (!blocks) {
    emit.copy(node, wholeInputs(emit, operator, typed), node.outputs);
    return;
  }
  const wanted = [0, 1, 2].filter((output) => node.outputs[output]);
  const pick = (outputs: readonly string[]): Output[] => wanted.map((output) => [outputs[output]!, elemType]);
  const either = (e: Emit, condition: string, ...sides: [typeof whole, typeof whole]): Output[] =>
    e.either(condition, ...sides).map((value) => [value, elemType]);
  const whole = (e: Emit) => pick(e.copy(node, wholeInputs(e, operator, typed), 3));
  const inBlocks = (e: Emit) =>
    pick(attendInBlocks(e, node, blocks, elemType, blockBias(operator, typed), operator.D));
  const several = (e: Emit): Output[] =>
    either(
      e,
      e('GreaterOrEqual', [blocks.S, e.ints(2 * blocks.size)]),
      (long) => {
        const largest = long('ReduceMax', [long('Abs', [bias])], { keepdims: 0 });
        const loud = long('Greater', [largest, long.float(0)]);
        return either(long, long('And', [loud, canTakeBlocks(long, node)]), inBlocks, whole);
      },
      whole,
    );
  // Decoding pays for what stands before the operator at every token: of one row the bias has all rows already.
  const one = (e: Emit) => pick(e.copy(node, inputsWith(e, operator, typed), 3));
  emit.either(
    blocks.oneRow,
    one,
    several,
    wanted.map((output) => node.outputs[output]!),
  );
}

function wholeInputs(emit: Emit, operator: BiasedOperator, typed: string): string[] {
  const tall = emit('Concat', [emit.ints(1, 1), operator.S, emit.ints(1)], { axis: 0 });
  return inputsWith(emit, operator, emit('Expand', [typed, tall]));
}

/** @param rows the bias with all rows of the call */
function inputsWith(emit: Emit, { node, position }: BiasedOperator, rows: string): string[] {
  const own = node.inputs[position];
  const inputs = Array.from(
    { length: Math.max(node.inputs.length, position + 1) },
    (_, i) => node.inputs[i] ?? '',
  );
  inputs[position] = own ? emit('Add', [own, rows]) : rows;
  return inputs;
}

/** Rows [from, to) and keys [0, end) of the bias; a bias of one row has it at every place. */
function blockBias({ node, position }: BiasedOperator, typed: string) {
  return (emit: Emit, from: string, to: string, end: string) => {
    const height = emit.dim(typed, 2);
    const first = emit('Min', [from, emit('Sub', [height, emit.ints(1)])]);
    const rows = emit.slice(emit.slice(typed, 2, first, emit('Min', [to, height])), 3, emit.ints(0), end);
    const tall = emit('Concat', [emit.ints(1, 1), emit('Sub', [to, from]), end], { axis: 0 });
    const piece = emit('Expand', [rows, tall]);
    const own = node.inputs[position];
    if (!own) return piece;
    return emit('Add', [emit.slice(emit.slice(own, 2, from, to), 3, emit.ints(0), end), piece]);
  };
}

/** Hidden logits stay finite in float16 too, or rows of padding would turn to NaN. */
const LOWEST_HALF = -6e4;

export function toType(emit: Emit, x: string, elemType: number): string {
  if (elemType === DataType.FLOAT) return x;
  return emit('Cast', [emit('Max', [x, emit.float(LOWEST_HALF)])], { to: elemType });
}
