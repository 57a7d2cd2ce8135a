/**
 * GroupQueryAttention in blocks of query rows, the operator itself in each. Called once for a prompt, the CPU operator
 * multiplies every row with every key and reads an [S, T] bias once per head. Called for a block of rows, with the keys
 * before it as its cache, it multiplies what the causal order lets the rows see, and scores and bias stay in cache: the
 * same result to rounding in about half the time (docs/performance.md).
 *
 * All n blocks have b rows, so that one loop makes them: the first two overlap by n·b - S < b rows, which come out alike
 * twice. What a layer needs of the plan is worked out once for all of them: nodes are what a session takes its time to load.
 *
 * Only for a batch of one: with several rows and a cache the operator refuses more.
 */
import type { Emit } from '../../onnx/emitter.ts';
import { DataType, intAttribute, type Node } from '../../onnx/index.ts';
import type { EditContext } from '../plan.ts';
import { givenPositions } from './group-query-attention.ts';

/** Rows of a block, about. Measured best from 64 to 256; the calls and the copies of the cache outweigh smaller ones. */
export const BLOCK_ROWS = 128;

const INPUT = { q: 0, k: 1, v: 2, pastK: 3, pastV: 4, seqlens: 5, total: 6, positions: 9, bias: 10 };

/** What all layers of a call have in common: names of values. */
export interface RowBlocks {
  /** bool [1]: the call is long, and one that may be taken in blocks. */
  readonly long: string;
  /** int64 [n, 10], a block a row: rows from, to; of a bias [.., S|1, T] starts and ends over rows and keys; its shape. */
  readonly blocks: string;
  /** int32 [n, 1] and int32 [n]: the operator's seqlens_k and total_sequence_length of a block. */
  readonly seqlens: string;
  readonly totals: string;
  /** int64 [S]: where the call's rows are among the n·b that the blocks give. */
  readonly rows: string;
  /** int64 [1, S], where the operator is given positions; else ''. */
  readonly positions: string;
}

/**
 * @param once memo of the graph: layers that are given the same lengths share a plan
 * @param call a GroupQueryAttention, the rows of its call (int64 [1]), and the rows of a block, about
 */
export function planRowBlocks(
  emit: Emit,
  once: EditContext['once'],
  { node, S, size = BLOCK_ROWS }: { node: Node; S: string; size?: number | undefined },
): RowBlocks {
  const lengths = [INPUT.seqlens, INPUT.total, INPUT.positions].map((input) => node.inputs[input] ?? '');
  const values = once(`blocks of ${size}: ${S}, ${lengths}`, () => {
    const plan = makePlan(emit, node, S, size);
    return [plan.long, plan.blocks, plan.seqlens, plan.totals, plan.rows, plan.positions];
  });
  const [long = '', blocks = '', seqlens = '', totals = '', rows = '', positions = ''] = values;
  return { long, blocks, seqlens, totals, rows, positions };
}

function makePlan(emit: Emit, node: Node, S: string, size: number): RowBlocks {
  const [zero, one] = [emit.ints(0), emit.ints(1)];
  const T = emit('Reshape', [emit('Cast', [node.inputs[INPUT.total]!], { to: DataType.INT64 }), one]);
  const past = emit('Sub', [T, S]);
  const up = (a: string, b: string) => emit('Div', [emit('Sub', [emit('Add', [a, b]), one]), b]);
  const b = emit('Max', [up(S, emit('Max', [emit('Div', [S, emit.ints(size)]), one])), one]);
  const n = up(S, b);
  // The last block ends with the last row.
  const after = emit('Mul', [emit('Sub', [n, emit.range(n)]), b]);
  const from = emit('Max', [emit('Sub', [S, after]), zero]);
  const [to, behind] = [emit('Add', [from, b]), emit('Sub', [from, S])];
  const end = emit('Add', [past, to]);
  const none = emit('Sub', [from, from]);
  const single = emit('Add', [none, one]);
  const tall = emit('Add', [none, b]);
  // Rows from the end: of a bias with one row that is its only one.
  const columns = [from, to, behind, none, to, end, single, single, tall, end];
  const blocks = emit(
    'Concat',
    columns.map((column) => emit('Unsqueeze', [column, one])),
    { axis: 1 },
  );
  const totals = emit('Cast', [end], { to: DataType.INT32 });
  const seqlens = emit('Cast', [emit('Unsqueeze', [emit('Sub', [end, one]), one])], { to: DataType.INT32 });
  const given = node.inputs[INPUT.positions];
  return {
    long: emit('And', [emit('GreaterOrEqual', [S, emit.ints(2 * size)]), takesBlocks(emit, node, T)]),
    blocks,
    seqlens,
    totals,
    rows: rowsKept(emit, S, b, n),
    positions: given ? givenPositions(emit, given, past) : '',
  };
}

/** Rows of the first block that the second has, too, are left out. */
function rowsKept(emit: Emit, S: string, b: string, n: string): string {
  const double = emit('Sub', [emit('Mul', [n, b]), S]);
  const row = emit.range(S);
  const second = emit('GreaterOrEqual', [row, emit('Sub', [b, double])]);
  return emit('Add', [row, emit('Mul', [emit('Cast', [second], { to: DataType.INT64 }), double])]);
}

/**
 * bool [1]: the operator takes several rows and a cache for a batch of one only; and rows that end in padding are counted
 * from the front, which those of a block would not be.
 */
function takesBlocks(emit: Emit, node: Node, T: string): string {
  const seqlens = emit('Reshape', [node.inputs[INPUT.seqlens]!, emit.ints(-1)]);
  const last = emit('Cast', [emit.slice(seqlens, 0, emit.ints(0), emit.ints(1))], { to: DataType.INT64 });
  const full = emit('Equal', [emit('Add', [last, emit.ints(1)]), T]);
  return emit('And', [emit('Equal', [emit('Size', [seqlens]), emit.int(1)]), full]);
}

/** A piece [1|B, 1|H, b, end] of the bias for a block, from its starts, ends and shape. */
export type BlockBias = (emit: Emit, starts: string, ends: string, shape: string) => string;

/**
 * @param node GroupQueryAttention with a cache among its inputs; its bias input is replaced by what `bias` gives
 * @param elemType of its activations @param D head size
 * @returns values of its outputs: z, present key and value
 */
export function attendInBlocks(
  emit: Emit,
  node: Node,
  plan: RowBlocks,
  elemType: number,
  bias: BlockBias,
  D: number,
): [z: string, presentK: string, presentV: string] {
  const [H, K] = [intAttribute(node, 'num_heads', 0), intAttribute(node, 'kv_num_heads', 0)];
  const width = D * (node.inputs[INPUT.k] ? H : H + 2 * K);
  const attend = (e: Emit, i: string, cache: readonly [string, string]) => {
    const block = e('Gather', [plan.blocks, i], { axis: 0 });
    const parts = e.many(5, 'Split', [block, e.ints(1, 1, 2, 2, 4)], { axis: 0 });
    const [from, to, starts, ends, shape] = parts as [string, string, string, string, string];
    const inputs = Array.from({ length: INPUT.bias + 1 }, (_, input) => node.inputs[input] ?? '');
    for (const which of [INPUT.q, INPUT.k, INPUT.v]) {
      if (inputs[which]) inputs[which] = e.slice(inputs[which], 1, from, to);
    }
    // A width that is not known would be inferred as 0, and ORT would warn at every run.
    inputs[INPUT.q] = e('Reshape', [inputs[INPUT.q]!, e.ints(0, -1, width)]);
    if (plan.positions) inputs[INPUT.positions] = e.slice(plan.positions, 1, from, to);
    inputs[INPUT.bias] = bias(e, starts, ends, shape);
    [inputs[INPUT.pastK], inputs[INPUT.pastV]] = cache;
    inputs[INPUT.seqlens] = e('Gather', [plan.seqlens, i], { axis: 0 });
    inputs[INPUT.total] = e('Gather', [plan.totals, i], { axis: 0 });
    return e.copy(node, [...inputs, ...node.inputs.slice(inputs.length)], 3) as [string, string, string];
  };
  const float = { elemType };
  const body = emit.graph(
    [{ elemType: DataType.INT64, shape: [] }, { elemType: DataType.BOOL, shape: [] }, float, float],
    (e, [i, condition, pastK, pastV]) => {
      const [z, k, v] = attend(e, i!, [pastK!, pastV!]);
      const go = e('Identity', [condition!]);
      return [
        [go, DataType.BOOL],
        [k, elemType],
        [v, elemType],
        [z, elemType],
      ];
    },
  );
  const cache = [node.inputs[INPUT.pastK]!, node.inputs[INPUT.pastV]!];
  const trips = emit('Size', [plan.totals]);
  const [presentK, presentV, stacked] = emit.many(3, 'Loop', [trips, '', ...cache], { body });
  // [n, 1, b, N·D] to [1, S, N·D]
  const rows = emit('Reshape', [stacked!, emit.ints(1, -1, H * D)]);
  return [emit('Gather', [rows, plan.rows], { axis: 1 }), presentK!, presentV!];
}
