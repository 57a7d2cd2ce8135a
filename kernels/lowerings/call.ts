/** What edits are told of a call whose attention is written out: sizes, knobs, and counts of rows and keys. */
import type { Emit } from '../../onnx/emitter.ts';
import { DataType } from '../../onnx/index.ts';
import type { Call, MapBlock } from '../edits/edit.ts';
import type { Block, Extent } from './blocks.ts';
import * as columns from './functions/columns.ts';

export interface CallSite {
  readonly extent: Extent;
  /** float32 [B, T] with 0 at padding; undefined where none is. */
  readonly real: string | undefined;
  /** What realRows gives; read only by edits that count rows. */
  readonly rows: string | undefined;
  /** Values of knobs, and of states as past_…, by local name. */
  readonly value: (name: string) => string;
  /** The call is known to be of one row. */
  readonly only?: boolean;
}

/** @param emit of the graph that all blocks of the call share */
export function callOf(emit: Emit, { extent, real, rows, value, only = false }: CallSite): Call {
  const { S, T, past, causal, window } = extent;
  const ones = (e: Emit, ...shape: [...lead: number[], size: string]) => {
    const size = shape.pop() as string;
    return e('Expand', [e.float(1), e('Concat', [e.ints(...(shape as number[])), size], { axis: 0 })]);
  };
  const keys = (e: Emit) => real ?? ones(e, 1, T);
  const countKeys = (e: Emit) =>
    real ? e.reduce('ReduceSum', real, 1) : e('Cast', [T], { to: DataType.FLOAT });

  const countRows = (e: Emit): string => {
    if (only && !real && window === undefined) return e.float(1);
    const counted = rows ?? ones(e, 1, 1, 1, S);
    const seen = window
      ? e.call(columns.columnCountsWindow, counted, keys(e), past, window)[0]!
      : e.call(columns.columnCounts, counted, keys(e), past)[0]!;
    return e('Unsqueeze', [seen, e.ints(1)]);
  };

  /** Those up to a row itself less those up to where its window begins. */
  const keysSeen = (): ((block: MapBlock) => string) => {
    const all = emit('Reshape', [countKeys(emit), emit.ints(-1, 1, 1, 1)]);
    if (!causal) return () => all;
    const before = emit('Pad', [emit('CumSum', [keys(emit), emit.int(1)]), emit.ints(0, 1, 0, 0)]);
    return (block) => {
      const e = block.emit;
      if (block.only && window === undefined) return all;
      const next = e('Add', [block.positions(), e.ints(1)]);
      const upTo = (end: string) => e('Gather', [before, end], { axis: 1 });
      const begin = window && e('Max', [e('Sub', [next, window]), e.ints(0)]);
      const seen = begin ? e('Sub', [upTo(next), upTo(begin)]) : upTo(next);
      return e('Unsqueeze', [seen, e.ints(1, 3)]);
    };
  };

  return {
    emit,
    S,
    T,
    past,
    real,
    value,
    overKeys: (name, ...lead) => {
      const shape = emit('Concat', [emit.ints(...lead), T], { axis: 0 });
      return emit('Expand', [value(name), shape]);
    },
    countKeys,
    countRows,
    keysSeen,
  };
}

/** Real rows of the call, float32 [B, 1, 1, S]; undefined where all are. */
export function realRows(emit: Emit, real: string | undefined, { past, T }: Extent): string | undefined {
  return real && emit('Unsqueeze', [emit.slice(real, 1, past, T), emit.ints(1, 2)]);
}

/** A block with what edits ask of it. */
export function mapBlock<B extends Block>(block: B, { past }: Extent): B & MapBlock {
  const { emit: e, from, rows } = block;
  return {
    ...block,
    positions: () => {
      const first = e('Add', [past, from]);
      return e('Range', [e('Squeeze', [first]), e('Squeeze', [e('Add', [first, rows])]), e.int(1)]);
    },
  };
}

/** Column sums of a block's real rows, each row counted in one block only: [B, H, columns]. @param rows realRows */
export function columnSums(block: Block, pattern: string, rows: string | undefined): string {
  const { emit: e } = block;
  if (block.only) return e('Squeeze', [rows ? e('Mul', [pattern, rows]) : pattern, e.ints(2)]);
  const first = block.fresh();
  const fresh = first && e('Unsqueeze', [first, e.ints(0, 1, 2)]); // [1, 1, 1, rows]
  const real = rows && block.cutRows(rows, 3);
  const counted = real && fresh ? e('Mul', [real, fresh]) : (real ?? fresh ?? allRows(block));
  return e.call(columns.columnSums, pattern, counted)[0]!;
}

function allRows({ emit, rows }: Block): string {
  return emit('Expand', [emit.float(1), emit('Concat', [emit.ints(1, 1, 1), rows], { axis: 0 })]);
}
