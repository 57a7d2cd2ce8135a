/**
 * Position-invariant attention (PINE) as functions: the layout of documents, their importance without positions, the
 * shifts that follow from its order, and rotation of queries per head.
 *
 * `bounds` [k+1] int64 are the starts of k documents and the end of the last; documents past the sequence are empty. Keys
 * keep base positions (kernels/reference/segments.ts); a query meets document j rotated by shift_j more.
 */
import { DataType } from '../../../hooks/onnx/index.ts';
import { HIDDEN, primitive } from '../emit.ts';

export const documentLayout = primitive(
  {
    name: 'DocumentLayout',
    inputs: ['bounds', 'T'],
    outputs: ['limits', 'member', 'lengths', 'base'],
    doc: 'bounds [k+1], T [1] int64 → bounds within T [k+1]; member [k, T] of 0 and 1; lengths [1, k]; base positions of all keys [1, T] int64.',
  },
  (emit) => {
    const limits = emit.as('limits', 'Min', ['bounds', 'T']);
    const starts = emit('Slice', [limits, emit.ints(0), emit.ints(-1)]);
    const ends = emit('Slice', [limits, emit.ints(1), emit.ints(2 ** 31)]);
    const lengths = emit('Unsqueeze', [emit('Sub', [ends, starts]), emit.ints(0)]);
    emit.as('lengths', 'Cast', [lengths], { to: DataType.FLOAT });
    const index = emit('Range', [emit.int(0), emit('Squeeze', ['T']), emit.int(1)]);
    const column = (x: string) => emit('Unsqueeze', [x, emit.ints(1)]);
    const inside = emit('And', [
      emit('GreaterOrEqual', [index, column(starts)]),
      emit('Less', [index, column(ends)]),
    ]);
    emit.as('member', 'Cast', [inside], { to: DataType.FLOAT });
    const last = emit('Slice', [limits, emit.ints(-1), emit.ints(2 ** 31)]);
    const room = column(emit('Sub', [last, ends])); // how far each document moves to end at the block's end
    const moved = emit('Mul', [emit('Cast', [inside], { to: DataType.INT64 }), room]);
    const sum = emit('ReduceSum', [moved, emit.ints(0)], { keepdims: 1 });
    emit.as('base', 'Add', [sum, index]);
  },
);

/** Softmax of position-free logits over the keys of all documents but the row's own, summed per document, per key. */
export const documentMasses = primitive(
  {
    name: 'DocumentMasses',
    inputs: ['scores', 'own', 'member', 'lengths'],
    outputs: ['masses'],
    doc: 'scores [B, H, S, L] over document keys without positions; own [S, k] the row’s document; member [k, L]; lengths [1, k] → mean weight per key of each document [B, H, S, k].',
  },
  (emit) => {
    const same = emit('MatMul', ['own', 'member']); // [S, L], 1 at keys of the row's own document
    const others = emit('Add', ['scores', emit('Mul', [same, emit.float(HIDDEN)])]);
    const weights = emit('Softmax', [others], { axis: -1 });
    const sums = emit('MatMul', [weights, emit('Transpose', ['member'], { perm: [1, 0] })]);
    emit.as('masses', 'Div', [sums, emit('Max', ['lengths', emit.float(1)])]);
  },
);

/** The order documents take for each row, as the length of what is ranked before each. */
export const documentShifts = primitive(
  {
    name: 'DocumentShifts',
    inputs: ['masses', 'own', 'lengths'],
    outputs: ['shifts'],
    doc: 'masses [B, H, S, k], own [S, k], lengths [1, k] → shifts [B, H, S, k]: total length of documents more important than each. Rows of a document share its summed masses and put it first; ties keep the order given.',
  },
  (emit) => {
    // Masses of a document's rows are summed: own·(ownᵀ·masses).
    const perDocument = emit('MatMul', [emit('Transpose', ['own'], { perm: [1, 0] }), 'masses']);
    const shared = emit('MatMul', ['own', perDocument]);
    const inside = emit.reduce('ReduceSum', 'own', 1); // [S, 1]
    const outside = emit('Sub', [emit.float(1), inside]);
    const importance = emit('Add', [shared, emit('Mul', [outside, 'masses'])]);
    const first = emit('Add', [importance, emit('Mul', ['own', emit.float(1e30)])]);
    const x = emit('Unsqueeze', [first, emit.ints(4)]); // [B, H, S, k, 1]
    const j = emit('Unsqueeze', [first, emit.ints(3)]); // [B, H, S, 1, k]
    const k = emit('Squeeze', [emit.dim('own', 1)]);
    const index = emit('Range', [emit.int(0), k, emit.int(1)]);
    const earlier = emit('Less', [emit('Unsqueeze', [index, emit.ints(1)]), index]); // [k, k]
    const before = emit('Or', [emit('Greater', [x, j]), emit('And', [emit('Equal', [x, j]), earlier])]);
    const total = emit('MatMul', ['lengths', emit('Cast', [before], { to: DataType.FLOAT })]); // [B, H, S, 1, k]
    emit.as('shifts', 'Squeeze', [total, emit.ints(3)]);
  },
);

/** Documents see each other both ways and themselves causally; everything else is causal. */
export const documentVisibility = primitive(
  {
    name: 'DocumentVisibility',
    inputs: ['causal', 'own', 'member'],
    outputs: ['bias'],
    doc: 'causal [1, 1, S, T] of 0 and very low; own [S, k]; member [k, T] → the same with 0 where row and key are in different documents.',
  },
  (emit) => {
    const inside = emit.reduce('ReduceSum', 'own', 1); // [S, 1]
    const keys = emit.reduce('ReduceSum', 'member', 0); // [1, T]
    const both = emit('Mul', [inside, keys]);
    const across = emit('Sub', [both, emit('MatMul', ['own', 'member'])]);
    emit.as('bias', 'Where', [emit('Greater', [across, emit.float(0.5)]), emit.float(0), 'causal']);
  },
);
