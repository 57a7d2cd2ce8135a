/**
 * Attention in blocks of query rows. Scores of all rows at once need B·H·S·T numbers; a block of rows needs a budget's
 * worth, stays in cache, and under a causal mask reads only the keys its rows can see. A Loop runs them, one for a short call;
 * the last may overlap the one before it. Calls of a single row take a branch with fewer nodes.
 */

import type { Emit } from '../../onnx/emitter.ts';
import { DataType } from '../../onnx/index.ts';

/** Bytes of scores per block: about a last-level cache. Measured best at 8 to 16 MB for 32 heads of 64. */
export const BLOCK_BYTES = 16 * 2 ** 20;

/** Rows per block never fall below this, so that the products stay matrices. */
const FEWEST_ROWS = 32;

/** Nor need they rise above this under a causal mask: smaller blocks multiply less of what it hides. */
export const MOST_ROWS = 128;

/** A position no sequence reaches. */
export const BEYOND = 2 ** 31 - 1;

/** A block of rows and the key columns it looks at. All sizes are values of int64 [1]. */
export interface Block {
  readonly emit: Emit;
  /** First row within this call, and number of rows. */
  readonly from: string;
  readonly rows: string;
  /** The first of its columns. */
  readonly start: string;
  /** It is the call's only row, the last of the sequence: nothing comes after it, and no other row is counted. */
  readonly only: boolean;
  /** Positions of its columns, int64 [columns]. */
  columns(): string;
  /** Rows of `x` along an axis over S. */
  cutRows(x: string, axis: number): string;
  /** Columns of `x` along an axis over T; an axis of size 1 must not be cut. */
  cutKeys(x: string, axis: number): string;
  /** Zeros around a value over the block's columns, so that it is over all T. Last axis of rank 3. */
  spreadKeys(x: string): string;
  /** 1 for rows this block is the first to hold, else 0 (overlap): float [rows]; undefined where that is all of them. */
  fresh(): string | undefined;
  /** The same block in a branch: what it needs is computed there. */
  within(emit: Emit): Block;
}

export interface Extent {
  /** Values of int64 [1]. */
  readonly S: string;
  readonly T: string;
  readonly past: string;
  /** No row sees a key after itself: blocks need not read further. */
  readonly causal: boolean;
  /** int64 [1], keys seen to the left. */
  readonly window?: string | undefined;
}

/** @param only the call is known to be of one row */
export function wholeBlock(emit: Emit, extent: Extent, only = false): Block {
  const { S, T } = extent;
  return {
    emit,
    from: emit.ints(0),
    rows: S,
    start: emit.ints(0),
    only,
    columns: () => emit('Range', [emit.int(0), emit('Squeeze', [T]), emit.int(1)]),
    cutRows: (x) => x,
    cutKeys: (x) => x,
    spreadKeys: (x) => x,
    fresh: () => undefined,
    within: (inner) => wholeBlock(inner, extent, only),
  };
}

/** The same rows looking at some columns only, int64 [n]. */
export function atColumns(block: Block, columns: string): Block {
  const { emit } = block;
  return {
    ...block,
    columns: () => columns,
    cutKeys: (x, axis) => emit('Gather', [x, columns], { axis }),
  };
}

export interface Blocks {
  /** Number of blocks and rows in each: int64 [1]. */
  readonly count: string;
  readonly rows: string;
}

/**
 * How many blocks a call takes: blocks of equal size, each within the budget.
 * @param budget scores a block may hold @param perRow sizes whose product is the scores of one row
 * @param mostRows of a block, whatever the budget
 */
export function countBlocks(
  emit: Emit,
  budget: string,
  perRow: readonly string[],
  S: string,
  mostRows?: number,
): Blocks {
  const fitting = perRow.reduce((left, dim) => emit('Div', [left, dim]), budget);
  const wanted = emit('Max', [fitting, emit.ints(FEWEST_ROWS)]);
  const most = mostRows === undefined ? wanted : emit('Min', [wanted, emit.ints(mostRows)]);
  const up = (a: string, b: string) => emit('Div', [emit('Sub', [emit('Add', [a, b]), emit.ints(1)]), b]);
  const count = up(S, most);
  return { count, rows: up(S, count) };
}

/** The block a Loop is at; `i` is its iteration, int64 scalar. */
function loopBlock(emit: Emit, i: string, blocks: Blocks, extent: Extent): Block {
  const { rows } = blocks;
  const { S, T, past, causal, window } = extent;
  const ideal = emit('Mul', [emit('Unsqueeze', [i, emit.ints(0)]), rows]);
  const from = emit('Min', [ideal, emit('Sub', [S, rows])]);
  const to = emit('Add', [from, rows]);
  const end = causal ? emit('Add', [past, to]) : T;
  const start = window
    ? emit('Max', [
        emit('Add', [emit('Sub', [emit('Add', [past, from]), window]), emit.ints(1)]),
        emit.ints(0),
      ])
    : emit.ints(0);
  return {
    emit,
    from,
    rows,
    start,
    only: false,
    columns: () => {
      const [first, last] = causal ? [start, end] : [emit.ints(0), T];
      return emit('Range', [emit('Squeeze', [first]), emit('Squeeze', [last]), emit.int(1)]);
    },
    cutRows: (x, axis) => emit.slice(x, axis, from, to),
    cutKeys: (x, axis) => (causal ? emit.slice(x, axis, start, end) : x),
    spreadKeys: (x) =>
      causal
        ? emit('Pad', [
            x,
            emit('Concat', [emit.ints(0, 0), start, emit.ints(0, 0), emit('Sub', [T, end])], { axis: 0 }),
          ])
        : x,
    fresh: () => {
      const [a, b] = [emit('Squeeze', [from]), emit('Squeeze', [to])];
      const row = emit('Range', [a, b, emit.int(1)]);
      return emit('Cast', [emit('GreaterOrEqual', [row, ideal])], { to: DataType.FLOAT });
    },
    within: (inner) => loopBlock(inner, i, blocks, extent),
  };
}

/** Runs `body` for every block and joins what it returns, [B, N, rows, E] each, along the rows: [B, N, S, E]. */
export function mapBlocks(
  emit: Emit,
  blocks: Blocks,
  extent: Extent,
  body: (block: Block) => string,
): string {
  const graph = emit.graph(LOOP_INPUTS, (inner, [i, condition]) => [
    [inner('Identity', [condition!]), DataType.BOOL],
    [body(loopBlock(inner, i!, blocks, extent)), DataType.FLOAT],
  ]);
  const stacked = emit('Loop', [emit('Squeeze', [blocks.count]), ''], { body: graph });
  return joinRows(emit, stacked, blocks, extent);
}

/** As mapBlocks, and adds up a second value, of one shape for all blocks. */
export function mapAndSumBlocks(
  emit: Emit,
  blocks: Blocks,
  extent: Extent,
  zero: string,
  body: (block: Block) => { rows: string; sum: string },
): { rows: string; sum: string } {
  const graph = emit.graph(
    [...LOOP_INPUTS, { elemType: DataType.FLOAT }],
    (inner, [i, condition, before]) => {
      const { rows, sum } = body(loopBlock(inner, i!, blocks, extent));
      return [
        [inner('Identity', [condition!]), DataType.BOOL],
        [inner('Add', [before!, sum]), DataType.FLOAT],
        [rows, DataType.FLOAT],
      ];
    },
  );
  const [sum, stacked] = emit.many(2, 'Loop', [emit('Squeeze', [blocks.count]), '', zero], { body: graph });
  return { rows: joinRows(emit, stacked!, blocks, extent), sum: sum! };
}

/** [n, B, N, rows, E], the last of which may overlap the one before it, to [B, N, S, E]. */
function joinRows(emit: Emit, stacked: string, { count, rows }: Blocks, { S }: Extent): string {
  const rowsLast = emit('Transpose', [stacked], { perm: [1, 2, 0, 3, 4] });
  const width = emit.dim(stacked, 4);
  const joined = emit('Reshape', [rowsLast, emit('Concat', [emit.ints(0, 0, -1), width], { axis: 0 })]);
  const total = emit('Mul', [count, rows]);
  const last = emit('Sub', [total, rows]);
  const overlap = emit('Sub', [total, S]);
  const head = emit.slice(joined, 2, emit.ints(0), last);
  const tail = emit.slice(joined, 2, emit('Add', [last, overlap]), total);
  return emit('Concat', [head, tail], { axis: 2 });
}

/** Iteration number and condition of a Loop body. */
const LOOP_INPUTS = [
  { elemType: DataType.INT64, shape: [] },
  { elemType: DataType.BOOL, shape: [] },
];
