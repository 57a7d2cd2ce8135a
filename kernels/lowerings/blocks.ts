/**
 * Attention in blocks of query rows. Scores of all rows at once need B·H·S·T numbers; a block of rows needs a budget's
 * worth, stays in cache, and under a causal mask reads only the keys its rows can see. Short calls, decoding above all, are
 * one block and take the plain branch of an If; long ones run a Loop whose last block may overlap the one before it.
 */
import { DataType } from '../../hooks/onnx/index.ts';
import type { Emit, Output } from './emit.ts';

/** Bytes of scores per block: about a last-level cache. Measured best at 8 to 16 MB for 32 heads of 64. */
export const BLOCK_BYTES = 16 * 2 ** 20;

/** Rows per block never fall below this, so that the products stay matrices. */
const FEWEST_ROWS = 32;

/** A block of rows and what it may look at. All sizes are values of int64 [1]. */
export interface Block {
  readonly emit: Emit;
  /** First row within this call, and number of rows. */
  readonly from: string;
  readonly rows: string;
  /** Key columns start ≤ t < end. */
  readonly start: string;
  readonly end: string;
  /** Rows of `x` along an axis over S. */
  cutRows(x: string, axis: number): string;
  /** Columns of `x` along an axis over T; an axis of size 1 must not be cut. */
  cutKeys(x: string, axis: number): string;
  /** Zeros around a value over the block's columns, so that it is over all T. Last axis of rank 3. */
  spreadKeys(x: string): string;
  /** 1 for rows this block is the first to hold, else 0 (overlap): float [rows]. */
  fresh(): string;
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

export function wholeBlock(emit: Emit, { S, T }: Extent): Block {
  return {
    emit,
    from: emit.ints(0),
    rows: S,
    start: emit.ints(0),
    end: T,
    cutRows: (x) => x,
    cutKeys: (x) => x,
    spreadKeys: (x) => x,
    fresh: () => emit('Expand', [emit.float(1), S]),
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
 */
export function countBlocks(emit: Emit, budget: string, perRow: readonly string[], S: string): Blocks {
  const fitting = perRow.reduce((left, dim) => emit('Div', [left, dim]), budget);
  const most = emit('Max', [fitting, emit.ints(FEWEST_ROWS)]);
  const up = (a: string, b: string) => emit('Div', [emit('Sub', [emit('Add', [a, b]), emit.ints(1)]), b]);
  const count = up(S, most);
  return { count, rows: up(S, count) };
}

/** The block a Loop is at; `i` is its iteration, int64 scalar. */
function loopBlock(emit: Emit, i: string, { rows }: Blocks, extent: Extent): Block {
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
    end,
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
  const stacked = emit('Loop', [emit('Squeeze', [blocks.count]), ''], { body: graph }); // [n, B, N, rows, E]
  const rowsLast = emit('Transpose', [stacked], { perm: [1, 2, 0, 3, 4] });
  const width = emit.dim(stacked, 4);
  const joined = emit('Reshape', [rowsLast, emit('Concat', [emit.ints(0, 0, -1), width], { axis: 0 })]);
  const total = emit('Mul', [blocks.count, blocks.rows]);
  const last = emit('Sub', [total, blocks.rows]);
  const overlap = emit('Sub', [total, extent.S]);
  const head = emit.slice(joined, 2, emit.ints(0), last);
  const tail = emit.slice(joined, 2, emit('Add', [last, overlap]), total);
  return emit('Concat', [head, tail], { axis: 2 });
}

/** Runs `body` for every block and adds up what it returns, all of one shape. */
export function sumBlocks(
  emit: Emit,
  blocks: Blocks,
  extent: Extent,
  zero: string,
  body: (block: Block) => string,
): string {
  const graph = emit.graph([...LOOP_INPUTS, { elemType: DataType.FLOAT }], (inner, [i, condition, sum]) => {
    const total = inner('Add', [sum!, body(loopBlock(inner, i!, blocks, extent))]);
    return [
      [inner('Identity', [condition!]), DataType.BOOL],
      [total, DataType.FLOAT],
    ];
  });
  return emit('Loop', [emit('Squeeze', [blocks.count]), '', zero], { body: graph });
}

/** The plain branch where one block is enough, else the other; both return the same outputs. */
export function oneOrMore(
  emit: Emit,
  blocks: Blocks,
  one: (emit: Emit) => readonly Output[],
  more: (emit: Emit) => readonly Output[],
): string[] {
  const single = emit('Equal', [emit('Squeeze', [blocks.count]), emit.int(1)]);
  return emit.either(single, one, more);
}

/** Iteration number and condition of a Loop body. */
const LOOP_INPUTS = [
  { elemType: DataType.INT64, shape: [] },
  { elemType: DataType.BOOL, shape: [] },
];
