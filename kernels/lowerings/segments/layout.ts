/**
 * Where documents lie, for every row of a batch, once per graph: limits, base positions, which row belongs to which
 * document, and what ranking needs. Modes differ here and in what documents see of each other:
 *
 *   pine  a document ends at the end of the documents; queries move it back by its shift (kernels/reference/segments.ts)
 *   nia   no attention between documents, positions as they are
 *   pcw   as nia, and every document starts where the first does; what follows continues after the longest
 *         (Ratner et al., arXiv 2212.10947)
 *   sp    as pcw, and what follows the documents gives each of N documents 1/N of its weight
 *         (Hao et al., arXiv 2212.06713, as PINE's baseline)
 */

import { type Emit, type Primitive, primitive } from '../../../onnx/emitter.ts';
import { DataType } from '../../../onnx/index.ts';
import { BEYOND } from '../blocks.ts';

export const MODES = ['pine', 'nia', 'pcw', 'sp'] as const;
export type Mode = (typeof MODES)[number];

/** Values of the graph; k documents at most, W key columns from the first document of any row to the last. */
export interface Layout {
  /** [B, k + 1] int64 columns: where each document starts and the last ends. */
  readonly limits: string;
  /** [B, S] int64: base position of each row of the call, counted from the first real token. */
  readonly positions: string;
  /** [B, S, k] float of 0 and 1: the row's document. */
  readonly own: string;
  /** [B, S] int64 columns: where the row's document starts and ends; BEYOND outside the documents. */
  readonly rowStart: string;
  readonly rowEnd: string;
  /** [B, 1, 1, 1, k] float. */
  readonly lengths: string;
  /** [B, W, k] float: 1/length at the keys of each document. */
  readonly average: string;
  /** [B, 1, 1, k, k] bool: of equally important documents, does x come before j? */
  readonly earlier: string;
  /** int64 [1]: the first of the W columns. */
  readonly from: string;
  /** int64 [1] each: rows of this call that are among the W columns; none after the first call. */
  readonly freshFrom: string;
  readonly freshTo: string;
  /** int64 [1]: the first row after the documents of some batch row. */
  readonly tail: string;
  /**
   * Of the first batch row, whose documents are folded into a table of k rows and N columns, N the longest: [k, N] int64
   * columns, N = 0 after the first call; [T] int64, where each key is among the keys before and after the documents, then the
   * table, then one that is hidden; int64 [1] each, the first real column, the documents' first, the first after them.
   */
  readonly fold: string;
  readonly unfold: string;
  readonly begin: string;
  readonly start: string;
  readonly end: string;
  /** bool [1]: is the call one token of one row after the documents? What decoding one sequence is. */
  readonly one: string;
}

const INT = DataType.INT64;
const TYPES = {
  limits: INT,
  positions: INT,
  own: DataType.FLOAT,
  rowStart: INT,
  rowEnd: INT,
  lengths: DataType.FLOAT,
  average: DataType.FLOAT,
  earlier: DataType.BOOL,
  from: INT,
  freshFrom: INT,
  freshTo: INT,
  tail: INT,
  fold: INT,
  unfold: INT,
  begin: INT,
  start: INT,
  end: INT,
  one: DataType.BOOL,
} as const satisfies Record<keyof Layout, number>;
const NAMES = Object.keys(TYPES) as (keyof Layout)[];

export interface LayoutInputs {
  /** [B|1, k + 1] int64, counted from the first real token: starts of the documents, end of the last; BEYOND: none. */
  readonly bounds: string;
  /** [B|1, k] int64: place of each document among equally important ones. */
  readonly ties: string;
  /** [B] int64: column of the first real token. */
  readonly first: string;
  /** int64 [1]. */
  readonly S: string;
  readonly T: string;
}

export function documentLayout(emit: Emit, mode: Mode, inputs: LayoutInputs): Layout {
  const { bounds, ties, first, S, T } = inputs;
  return named(emit.call(layoutOf[mode], bounds, ties, first, S, T));
}

/**
 * The layout where any row of the batch has two documents or more, `several`: bool [1]; else nothing is computed, and no value
 * of it may be used.
 */
export function layoutOfSeveral(
  emit: Emit,
  mode: Mode,
  inputs: LayoutInputs,
): Layout & { readonly several: string } {
  const [several] = emit.call(severalDocuments, inputs.bounds);
  const laid = emit.either(
    several!,
    (inner) => {
      const layout = documentLayout(inner, mode, inputs);
      return NAMES.map((name) => [layout[name], TYPES[name]] as const);
    },
    (inner) =>
      NAMES.map((name) => [inner('Cast', [inner.ints(0)], { to: TYPES[name] }), TYPES[name]] as const),
  );
  return { ...named(laid), several: several! };
}

function named(values: readonly string[]): Layout {
  return Object.fromEntries(NAMES.map((name, i) => [name, values[i]!])) as Record<keyof Layout, string>;
}

const layoutOf = Object.fromEntries(MODES.map((mode) => [mode, layout(mode)])) as Record<Mode, Primitive>;

function layout(mode: Mode): Primitive {
  const signature = {
    name: `DocumentLayout_${mode}`,
    inputs: ['bounds', 'ties', 'first', 'S', 'T'],
    outputs: NAMES,
    doc: 'Documents of each batch row: limits, base positions and membership of rows, lengths, order of ties (kernels/lowerings/segments/layout.ts).',
  };
  return primitive(signature, (emit) => {
    const int64 = (x: string) => emit('Cast', [x], { to: DataType.INT64 });
    const float = (x: string) => emit('Cast', [x], { to: DataType.FLOAT });
    const last = emit.ints(2 ** 31);
    const column = (x: string, axis: number) => emit('Unsqueeze', [x, emit.ints(axis)]);
    const sum = (x: string, axis: number) => emit('ReduceSum', [x, emit.ints(axis)], { keepdims: 0 });
    const range = (from: string, to: string) =>
      emit('Range', [emit('Squeeze', [from]), emit('Squeeze', [to]), emit.int(1)]);

    const begin = column('first', 1); // [B, 1]
    // Twice: ONNX Runtime's Min takes int64 for 32 bits, which BEYOND and a little more would overflow.
    const bounded = emit('Min', ['bounds', 'T']);
    const limits = emit.as('limits', 'Min', [emit('Add', [bounded, begin]), 'T']);
    const starts = emit.slice(limits, 1, emit.ints(0), emit.ints(-1)); // [B, k]
    const ends = emit.slice(limits, 1, emit.ints(1), last);
    const head = emit.slice(limits, 1, emit.ints(0), emit.ints(1)); // [B, 1]
    const end = emit.slice(limits, 1, emit.ints(-1), last);
    const sizes = emit('Sub', [ends, starts]);
    emit.as('lengths', 'Unsqueeze', [float(sizes), emit.ints(1, 2, 3)]);

    const past = emit('Sub', ['T', 'S']);
    const rows = range(past, 'T'); // [S]
    const row = column(column(rows, 0), 2); // [1, S, 1]
    const within = (x: string) =>
      emit('And', [emit('GreaterOrEqual', [x, column(starts, 1)]), emit('Less', [x, column(ends, 1)])]);
    const member = within(row); // [B, S, k]
    const inside = int64(member);
    emit.as('own', 'Cast', [member], { to: DataType.FLOAT });
    const any = emit('Greater', [sum(inside, 2), emit.int(0)]); // [B, S]
    const ofRow = (x: string) => sum(emit('Mul', [inside, column(x, 1)]), 2);
    emit.as('rowStart', 'Where', [any, ofRow(starts), emit.int(BEYOND)]);
    emit.as('rowEnd', 'Where', [any, ofRow(ends), emit.int(BEYOND)]);

    let position = emit('Sub', [rows, begin]); // [B, S]
    if (mode === 'pine') position = emit('Add', [position, ofRow(emit('Sub', [end, ends]))]);
    if (mode === 'pcw' || mode === 'sp') {
      const longest = emit.reduce('ReduceMax', sizes, 1);
      const gap = emit('Sub', [emit('Sub', [end, head]), longest]); // [B, 1]
      const after = int64(emit('GreaterOrEqual', [rows, end]));
      const back = emit('Add', [ofRow(emit('Sub', [starts, head])), emit('Mul', [after, gap])]);
      position = emit('Sub', [position, back]);
    }
    emit.as('positions', 'Max', [position, emit.int(0)]); // padding would be negative

    // At least one column, so that no softmax is over nothing.
    const lowest = emit('Reshape', [emit('ReduceMin', [head], { keepdims: 0 }), emit.ints(1)]);
    const from = emit.as('from', 'Min', [lowest, emit('Sub', ['T', emit.ints(1)])]);
    const highest = emit('Reshape', [emit('ReduceMax', [end], { keepdims: 0 }), emit.ints(1)]);
    const to = emit('Max', [highest, emit('Add', [from, emit.ints(1)])]);
    const fresh = (x: string) => emit('Max', [emit('Sub', [x, past]), emit.ints(0)]);
    emit.as('freshFrom', 'Identity', [fresh(from)]);
    emit.as('freshTo', 'Identity', [fresh(to)]);
    const keys = within(column(column(range(from, to), 0), 2)); // [B, W, k]
    const length = emit('Max', [float(sizes), emit.float(1)]);
    emit.as('average', 'Div', [float(keys), column(length, 1)]);

    const nearest = emit('Reshape', [emit('ReduceMin', [end], { keepdims: 0 }), emit.ints(1)]);
    const after = emit('Max', [emit('Sub', [nearest, past]), emit.ints(0)]);
    emit.as('tail', 'Min', [after, emit('Sub', ['S', emit.ints(1)])]); // never beyond the last row: products of nothing fail

    const ranks = emit('Less', [column('ties', 2), column('ties', 1)]); // [B|1, k, k]
    emit.as('earlier', 'Unsqueeze', [ranks, emit.ints(1, 2)]);

    const one = (x: string) => emit('Reshape', [emit.slice(x, 0, emit.ints(0), emit.ints(1)), emit.ints(-1)]);
    const [origin, opening, closing] = [one(begin), one(head), one(end)];
    emit.as('begin', 'Identity', [origin]);
    emit.as('start', 'Identity', [opening]);
    emit.as('end', 'Identity', [closing]);
    const longest = emit('ReduceMax', [one(sizes)], { keepdims: 1 }); // N
    const isFirst = int64(emit('Equal', [past, emit.ints(0)]));
    const offsets = range(emit.ints(0), emit('Mul', [longest, isFirst]));
    const places = emit('Add', [column(one(starts), 1), offsets]); // [k, N]
    emit.as('fold', 'Min', [places, emit('Sub', ['T', emit.ints(1)])]);
    const t = range(emit.ints(0), 'T');
    const outside = emit('Add', [emit('Sub', [opening, origin]), emit('Sub', ['T', closing])]);
    const k = emit.dim('ties', 1);
    const lines = emit('Mul', [range(emit.ints(0), k), longest]); // where each document's keys begin in the table
    const moves = emit('Add', [emit('Sub', [lines, one(starts)]), outside]); // [k]
    const memberOf = emit('And', [
      emit('GreaterOrEqual', [column(t, 1), one(starts)]),
      emit('Less', [column(t, 1), one(ends)]),
    ]); // [T, k]
    const folded = emit('Add', [t, sum(emit('Mul', [int64(memberOf), moves]), 1)]);
    const behind = emit('Sub', [emit('Sub', [t, emit('Sub', [closing, opening])]), origin]);
    const real = emit('Where', [
      emit('Less', [t, opening]),
      emit('Sub', [t, origin]),
      emit('Where', [emit('Less', [t, closing]), folded, behind]),
    ]);
    const hidden = emit('Add', [outside, emit('Mul', [k, longest])]);
    emit.as('unfold', 'Where', [emit('Less', [t, origin]), hidden, real]);
    const single = emit('Equal', [emit('Mul', [emit.dim('limits', 0), 'S']), emit.ints(1)]);
    emit.as('one', 'And', [single, emit('GreaterOrEqual', [past, closing])]);
  });
}

/** bool [1]: does any row of a batch have two documents or more? From `bounds` [B|1, k + 1], k ≥ 2. */
const severalDocuments = primitive(
  {
    name: 'SeveralDocuments',
    inputs: ['bounds'],
    outputs: ['several'],
    doc: 'bounds [B|1, k + 1] → whether the second document of any row has a token; one document is plain attention.',
  },
  (emit) => {
    const second = emit.slice('bounds', 1, emit.ints(1), emit.ints(2));
    const third = emit.slice('bounds', 1, emit.ints(2), emit.ints(3));
    const longest = emit('ReduceMax', [emit('Sub', [third, second])], { keepdims: 0 });
    emit.as('several', 'Greater', [emit('Reshape', [longest, emit.ints(1)]), emit.ints(0)]);
  },
);
