/**
 * A fused operator with a bias put in front of it. Operators want every row of a bias to be there; where the rows of one
 * are alike they are made where they are used: for the whole call, or block by block.
 */
import { DataType, type Node } from '../../hooks/onnx/index.ts';
import type { Emit, Output } from './emit.ts';
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
  const whole = (e: Emit) => pick(e.copy(node, wholeInputs(e, operator, typed), 3));
  emit.either(
    blocks.long,
    (e) => {
      const largest = e('ReduceMax', [e('Abs', [bias])], { keepdims: 0 });
      const types = e.either(
        e('And', [e('Greater', [largest, e.float(0)]), canTakeBlocks(e, node, blocks)]),
        (inner) =>
          pick(attendInBlocks(inner, node, blocks, elemType, blockBias(operator, typed), operator.D)),
        whole,
      );
      return types.map((value) => [value, elemType]);
    },
    whole,
    wanted.map((output) => node.outputs[output]!),
  );
}

function wholeInputs(emit: Emit, { node, position, S }: BiasedOperator, typed: string): string[] {
  const rows = emit('Expand', [typed, emit('Concat', [emit.ints(1, 1), S, emit.ints(1)], { axis: 0 })]);
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
