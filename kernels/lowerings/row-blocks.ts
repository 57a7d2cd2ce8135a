/**
 * GroupQueryAttention in blocks of query rows, the operator itself in each. Called once for a prompt, the CPU operator
 * multiplies every row with every key and reads an [S, T] bias once per head. Called for a block of rows, with the keys
 * before it as its cache, it multiplies what the causal order lets the rows see, and scores and bias stay in cache: the
 * same result to rounding in about half the time (docs/performance.md).
 *
 * Only for a batch of one: with several rows and a cache the operator refuses more.
 */

import type { Emit } from '../../onnx/emitter.ts';
import { DataType, intAttribute, type Node } from '../../onnx/index.ts';
import { givenPositions } from './group-query-attention.ts';

/** Rows of a block. Measured best from 64 to 256; the calls and the copies of the cache outweigh smaller ones. */
export const BLOCK_ROWS = 128;

const INPUT = { q: 0, k: 1, v: 2, pastK: 3, pastV: 4, seqlens: 5, total: 6, positions: 9, bias: 10 };

/** What decides whether a call is taken in blocks; the rest is worked out where one is. */
export interface RowBlocks {
  /** Rows of the call, int64 [1]. */
  readonly S: string;
  /** Rows of a block, about. */
  readonly size: number;
  /** bool [1]: the call has a single row, as while decoding. */
  readonly oneRow: string;
}

export function planRowBlocks(
  emit: Emit,
  { S, size = BLOCK_ROWS }: { S: string; size?: number | undefined },
): RowBlocks {
  return { S, size, oneRow: emit('Equal', [S, emit.ints(1)]) };
}

/**
 * bool [1]: the operator takes several rows and a cache for a batch of one only; and rows that end in padding are counted
 * from the front, which those of a block would not be.
 */
export function canTakeBlocks(emit: Emit, node: Node): string {
  const seqlens = emit('Reshape', [node.inputs[INPUT.seqlens]!, emit.ints(-1)]);
  const last = emit('Cast', [emit.slice(seqlens, 0, emit.ints(0), emit.ints(1))], { to: DataType.INT64 });
  const full = emit('Equal', [emit('Add', [last, emit.ints(1)]), keysOf(emit, node)]);
  return emit('And', [emit('Equal', [emit('Size', [seqlens]), emit.int(1)]), full]);
}

/** T, int64 [1]. */
function keysOf(emit: Emit, node: Node): string {
  return emit('Reshape', [emit('Cast', [node.inputs[INPUT.total]!], { to: DataType.INT64 }), emit.ints(1)]);
}

/** A piece of the bias for a block: rows [from, to) of the call against keys [0, end), or none. */
export type BlockBias = (emit: Emit, from: string, to: string, end: string) => string | undefined;

/**
 * @param node GroupQueryAttention; its bias input is replaced by what `bias` gives
 * @param elemType of its activations @param D head size, where known
 * @returns values of its outputs: z, present key and value
 */
export function attendInBlocks(
  emit: Emit,
  node: Node,
  { S, size }: RowBlocks,
  elemType: number,
  bias: BlockBias,
  D?: number,
): [z: string, presentK: string, presentV: string] {
  const past = emit('Sub', [keysOf(emit, node), S]);
  const count = emit('Div', [S, emit.ints(size)]);
  const rows = emit('Div', [S, count]);
  const others = emit('Sub', [count, emit.ints(1)]);
  const first = emit('Sub', [S, emit('Mul', [others, rows])]);
  const positions = node.inputs[INPUT.positions] && givenPositions(emit, node.inputs[INPUT.positions]!, past);

  const [H, K] = [intAttribute(node, 'num_heads', 0), intAttribute(node, 'kv_num_heads', 0)];
  const width = D && D * (node.inputs[INPUT.k] ? H : H + 2 * K);

  const attend = (e: Emit, from: string, to: string, cache: readonly string[]) => {
    const end = e('Add', [past, to]);
    const inputs = [...node.inputs];
    for (const which of [INPUT.q, INPUT.k, INPUT.v]) {
      if (inputs[which]) inputs[which] = e.slice(inputs[which], 1, from, to);
    }
    // A width that is not known would be inferred as 0, and ORT would warn at every run.
    if (width) inputs[INPUT.q] = e('Reshape', [inputs[INPUT.q]!, e.ints(0, -1, width)]);
    if (positions) inputs[INPUT.positions] = e.slice(positions, 1, from, to);
    const piece = bias(e, from, to, end);
    while (piece && inputs.length <= INPUT.bias) inputs.push('');
    if (piece) inputs[INPUT.bias] = piece;
    [inputs[INPUT.pastK], inputs[INPUT.pastV]] = cache as [string, string];
    inputs[INPUT.seqlens] = e('Cast', [e('Sub', [end, e.ints(1)])], { to: DataType.INT32 });
    inputs[INPUT.total] = e('Cast', [e('Squeeze', [end])], { to: DataType.INT32 });
    return e.copy(node, inputs, 3) as [string, string, string];
  };

  const [head, key, value] = attend(emit, emit.ints(0), first, [
    node.inputs[INPUT.pastK] ?? '',
    node.inputs[INPUT.pastV] ?? '',
  ]);
  const float = { elemType };
  const body = emit.graph(
    [{ elemType: DataType.INT64, shape: [] }, { elemType: DataType.BOOL, shape: [] }, float, float],
    (e, [i, condition, pastK, pastV]) => {
      const from = e('Add', [first, e('Mul', [e('Unsqueeze', [i!, e.ints(0)]), rows])]);
      const [z, k, v] = attend(e, from, e('Add', [from, rows]), [pastK!, pastV!]);
      const go = e('Identity', [condition!]);
      return [
        [go, DataType.BOOL],
        [k, elemType],
        [v, elemType],
        [z, elemType],
      ];
    },
  );
  const trips = emit('Squeeze', [others]);
  const [presentK, presentV, stacked] = emit.many(3, 'Loop', [trips, '', key, value], { body });
  // [n, 1, rows, N·D] to [1, n·rows, N·D]
  const rest = emit('Unsqueeze', [emit('Flatten', [stacked!], { axis: 3 }), emit.ints(0)]);
  return [emit('Concat', [head, rest], { axis: 1 }), presentK!, presentV!];
}
