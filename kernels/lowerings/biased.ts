/**
 * A fused operator with a bias put in front of it. Operators want every row of a bias to be there; where the rows of one
 * are alike they are made where they are used: for the whole call, or block by block.
 */

import type { Emit, Output } from '../../onnx/emitter.ts';
import { DataType, type Node } from '../../onnx/index.ts';
import { attendInBlocks, type RowBlocks } from './row-blocks.ts';

export interface BiasedOperator {
  readonly node: Node;
  /** Its input for an additive bias [B|1, H|1, S, T]. A bias that is there stays in force, and must be of floats. */
  readonly position: number;
  /** DataType of its activations, which the bias must have. */
  readonly elemType: number;
  /** float32 [B|1, H|1, S|1, T]. */
  readonly bias: string;
  /** int64 [4]: 1, 1, S, 1. */
  readonly tall: string;
  /** For a GroupQueryAttention of this head size: how it is taken in blocks, and whether, bool of one element. */
  readonly blocks?: { readonly plan: RowBlocks; readonly taken: string; readonly D: number } | undefined;
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
  const whole = (e: Emit) => pick(e.copy(node, wholeInputs(e, operator, typed), 3));
  const inBlocks = (e: Emit) =>
    pick(attendInBlocks(e, node, blocks.plan, elemType, blockBias(operator, typed), blocks.D));
  emit.either(
    blocks.taken,
    inBlocks,
    whole,
    wanted.map((output) => node.outputs[output]!),
  );
}

/** int64 [4], what a bias of one row is expanded to. @param S rows of the call, int64 [1] */
export const tallShape = (emit: Emit, S: string): string =>
  emit('Concat', [emit.ints(1, 1), S, emit.ints(1)], { axis: 0 });

function wholeInputs(emit: Emit, operator: BiasedOperator, typed: string): string[] {
  return inputsWith(emit, operator, emit('Expand', [typed, operator.tall]));
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

/** Of the bias what a block reads; a bias of one row has it at every place. */
function blockBias({ node, position }: BiasedOperator, typed: string) {
  return (emit: Emit, starts: string, ends: string, shape: string) => {
    const piece = (x: string) => emit('Slice', [x, starts, ends, emit.ints(2, 3)]);
    const own = node.inputs[position];
    if (own) return emit('Add', [piece(own), piece(typed)]);
    return emit('Expand', [piece(typed), shape]);
  };
}

/** Hidden logits stay finite in float16 too, or rows of padding would turn to NaN. */
const LOWEST_HALF = -6e4;

export function toType(emit: Emit, x: string, elemType: number): string {
  if (elemType === DataType.FLOAT) return x;
  return emit('Cast', [emit('Max', [x, emit.float(LOWEST_HALF)])], { to: elemType });
}
