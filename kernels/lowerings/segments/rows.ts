/** A Loop over the rows of a batch and over blocks of each row's queries. All sizes are values of int64 [1]. */

import type { Emit } from '../../../onnx/emitter.ts';
import { DataType } from '../../../onnx/index.ts';

export interface Rows {
  readonly emit: Emit;
  /** Rows of the batch, queries of a call, all columns, columns before the call. */
  readonly B: string;
  readonly S: string;
  readonly T: string;
  readonly past: string;
  /** Blocks of a batch row, and queries of a block; the last block may overlap the one before. */
  readonly count: string;
  readonly height: string;
}

/** Queries from ≤ s < to of batch row b. */
export interface Block {
  readonly emit: Emit;
  readonly from: string;
  readonly to: string;
  /** x[b, …] of the queries, which lie on `axis`. */
  queries(x: string, axis: number): string;
  /** x[b, …, start:end, …]. */
  part(x: string, axis: number, start: string, end: string): string;
  /** x[b] of a value [B]: [1]. */
  of(x: string): string;
  /** x[b] of a value whose first axis may be 1, with the queries and columns start … end of its last two axes. */
  window(x: string, start: string, end: string): string;
}

/** Runs `body` for every block and joins what it returns, [1, N, R, E] each, to [B, N, S, E]. */
export function mapRows(rows: Rows, outputs: number, body: (block: Block) => readonly string[]): string[] {
  const { emit, B, S, count, height } = rows;
  const inputs = [
    { elemType: DataType.INT64, shape: [] },
    { elemType: DataType.BOOL, shape: [] },
  ];
  const graph = emit.graph(inputs, (inner, [i, condition]) => [
    [inner('Identity', [condition!]), DataType.BOOL],
    ...body(blockAt(inner, i!, rows)).map((value) => [value, DataType.FLOAT] as const),
  ]);
  const trips = emit('Squeeze', [emit('Mul', [B, count])]);
  const stacked = emit.many(outputs, 'Loop', [trips, ''], { body: graph }); // [B·count, 1, N, R, E]
  const total = emit('Mul', [count, height]);
  const last = emit('Sub', [total, height]);
  const overlap = emit('Sub', [total, S]);
  return stacked.map((blocks) => {
    const inside = emit('Slice', [emit('Shape', [blocks]), emit.ints(2), emit.ints(5)]);
    const split = emit('Reshape', [blocks, emit('Concat', [B, count, inside], { axis: 0 })]);
    const rowsLast = emit('Transpose', [split], { perm: [0, 2, 1, 3, 4] }); // [B, N, count, R, E]
    const width = emit.dim(blocks, 4);
    const joined = emit('Reshape', [rowsLast, emit('Concat', [emit.ints(0, 0, -1), width], { axis: 0 })]);
    const head = emit.slice(joined, 2, emit.ints(0), last);
    const tail = emit.slice(joined, 2, emit('Add', [last, overlap]), total);
    return emit('Concat', [head, tail], { axis: 2 });
  });
}

function blockAt(emit: Emit, i: string, { S, count, height }: Rows): Block {
  const at = emit('Unsqueeze', [i, emit.ints(0)]);
  const b = emit('Div', [at, count]);
  const from = emit('Min', [emit('Mul', [emit('Mod', [at, count]), height]), emit('Sub', [S, height])]);
  const to = emit('Add', [from, height]);
  const next = (index: string) => emit('Add', [index, emit.ints(1)]);
  const join = (...parts: string[]) => emit('Concat', parts, { axis: 0 });
  const part: Block['part'] = (x, axis, start, end) =>
    emit('Slice', [x, join(b, start), join(next(b), end), emit.ints(0, axis)]);
  return {
    emit,
    from,
    to,
    part,
    queries: (x, axis) => part(x, axis, from, to),
    of: (x) => emit('Gather', [x, b]),
    window: (x, start, end) => {
      const own = emit('Min', [b, emit('Sub', [emit.dim(x, 0), emit.ints(1)])]);
      return emit('Slice', [x, join(own, from, start), join(next(own), to, end), emit.ints(0, 2, 3)]);
    },
  };
}
