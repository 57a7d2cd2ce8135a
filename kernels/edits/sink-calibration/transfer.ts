/**
 * Weight moved from sinks to the rest of each row: sinks keep the share β, other keys grow in proportion to what they have,
 *
 *   P'_t = κ P_t on sinks,  λ P_t elsewhere        κ = β,  λ = 1 + (1 − β) P_S / P_N
 *
 * with P_S and P_N a row's weight on sinks and on the rest. Of a row that sees nothing but sinks nothing can be moved: κ = 1.
 * β = 1 gives κ = λ = 1, exactly. Three ways to apply the two factors; which is fastest depends on how many rows there are.
 */
import { type Emit, primitive } from '../../../onnx/emitter.ts';
import { DataType } from '../../../onnx/index.ts';
import type { Correction } from '../edit.ts';

/** κ, in the shape of the weights. @param beta broadcastable to them */
function share(emit: Emit, onRest: string, beta: string): string {
  return emit('Where', [emit('Greater', [onRest, emit.float(0)]), beta, emit.float(1)]);
}

/** λ, in the shape of the weights. */
function growth(emit: Emit, onSinks: string, onRest: string, beta: string): string {
  const ratio = emit('Div', [onSinks, emit('Max', [onRest, emit.float(1e-30)])]);
  const freed = emit('Mul', [emit('Sub', [emit.float(1), beta]), ratio]);
  return emit('Add', [freed, emit.float(1)]);
}

/**
 * Key by key, for few rows or for sinks that differ from row to row. Products rather than Where: ONNX Runtime takes several
 * times as long to choose as to multiply.
 * @param pattern [B, H, …, T] @param sinks of 0 and 1, broadcastable to it @param beta [B|1, H, …, 1]
 * @param axis of the keys
 */
export function calibrateKeys(
  emit: Emit,
  { pattern, sinks, beta }: { readonly pattern: string; readonly sinks: string; readonly beta: string },
  axis: number,
): string {
  const own = emit('Mul', [pattern, sinks]);
  const others = emit('Sub', [pattern, own]);
  const onSinks = emit.reduce('ReduceSum', own, axis);
  const onRest = emit.reduce('ReduceSum', others, axis);
  const grown = emit('Mul', [others, growth(emit, onSinks, onRest, beta)]);
  return emit('Add', [emit('Mul', [own, share(emit, onRest, beta)]), grown]);
}

/** For many rows that share their sinks: group weights by one small product, factors spread over the keys by another. */
export const calibrateMap = primitive(
  {
    name: 'SinkCalibration',
    inputs: ['pattern', 'sinks', 'beta'],
    outputs: ['edited'],
    doc: 'pattern [B, H, S, T], sinks [B, H, T] of 0 and 1, beta [B|1, H]: sinks keep the share beta, other keys grow in proportion; beta 1 leaves a head alone.',
  },
  (emit) => {
    const sink = emit('Unsqueeze', ['sinks', emit.ints(3)]); // [B, H, T, 1]
    const rest = emit('Sub', [emit.float(1), sink]);
    const groups = emit('Concat', [sink, rest], { axis: 3 }); // [B, H, T, 2]
    const masses = emit('MatMul', ['pattern', groups]);
    const split = emit.many(2, 'Split', [masses, emit.ints(1, 1)], { axis: 3 });
    const [onSinks, onRest] = split as [string, string];
    const perHead = emit('Unsqueeze', ['beta', emit.ints(2, 3)]);
    const both = [share(emit, onRest, perHead), growth(emit, onSinks, onRest, perHead)];
    const weights = emit('Concat', both, { axis: 3 }); // [B, H, S, 2]
    const factor = emit('MatMul', [weights, emit('Transpose', [groups], { perm: [0, 1, 3, 2] })]);
    emit.as('edited', 'Mul', ['pattern', factor]);
  },
);

/** Part of all keys beyond which columns one by one gain little over a whole map. */
const FEW = 4;

/** Where any head has a sink that it calibrates. */
const sinkColumns = primitive(
  {
    name: 'SinkColumns',
    inputs: ['sinks', 'beta'],
    outputs: ['columns', 'marks', 'few'],
    doc: `sinks [B|1, H|1, T] of 0 and 1, beta [B|1, H] → positions of keys that are a sink of any head with beta other than 1, and the first key [n]; marks [B|1, H, n], 1 where they are; few: n ≤ T/${FEW}, else columns and marks are of the first key only.`,
  },
  (emit) => {
    const [zero, one] = [emit.ints(0), emit.ints(1)];
    const edited = emit('Not', [emit('Equal', [emit('Unsqueeze', ['beta', emit.ints(2)]), emit.float(1)])]);
    const marked = emit('Mul', ['sinks', emit('Cast', [edited], { to: DataType.FLOAT })]); // [B|1, H, T]
    const any = emit('Reshape', [
      emit.reduce('ReduceMax', emit.reduce('ReduceMax', marked, 0), 1),
      emit.ints(-1),
    ]);
    const rest = emit.slice(any, 0, one, emit.dim(any, 0));
    const withFirst = emit('Concat', [emit('Expand', [emit.float(1), one]), rest], { axis: 0 });
    const all = emit('Reshape', [emit('NonZero', [withFirst]), emit.ints(-1)]);
    const n = emit.dim(all, 0);
    const few = emit('LessOrEqual', [emit('Mul', [n, emit.ints(FEW)]), emit.dim(any, 0)]);
    emit.as('few', 'Squeeze', [few]);
    emit.as('columns', 'Slice', [all, zero, emit('Where', [few, n, one]), zero]);
    emit.as('marks', 'Gather', [marked, 'columns'], { axis: 2 });
  },
);

/**
 * On head outputs that are there, from the few columns that are sinks: z' = λ (z − z_S) + β z_S. Where sinks take nearly
 * all, z − z_S is mostly rounding: `fit` says whether that is so in no row.
 */
const calibrateOutputs = primitive(
  {
    name: 'SinkCalibrationOfOutputs',
    inputs: ['z', 'on_sinks', 'z_sinks', 'total', 'beta'],
    outputs: ['edited', 'fit'],
    doc: 'z [B, H, S, E] and of it what comes from sinks, z_sinks; weight of all keys and of sinks, total and on_sinks [B|1, H|1, S|1, 1]; beta [B|1, H] → as SinkCalibration would have it; fit: every row has an eighth of its weight outside sinks.',
  },
  (emit) => {
    const beta = emit('Unsqueeze', ['beta', emit.ints(2, 3)]);
    const rest = emit('Sub', ['total', 'on_sinks']);
    const fewest = emit.float(1 / 8);
    emit.as('fit', 'GreaterOrEqual', [emit('ReduceMin', [rest], { keepdims: 0 }), fewest]);
    const grown = growth(emit, 'on_sinks', emit('Max', [rest, fewest]), beta);
    const all = emit('Mul', ['z', grown]);
    emit.as('edited', 'Sub', [all, emit('Mul', ['z_sinks', emit('Sub', [grown, beta])])]);
  },
);

/**
 * Outputs of a block from those before, by the columns of sinks alone; where that would lose precision or time, otherwise.
 * @param emit of the graph around the blocks @param sinks [B, H, T]
 */
export function correction(emit: Emit, sinks: string, beta: string): Correction {
  const [columns, marks, few] = emit.call(sinkColumns, sinks, beta) as [string, string, string];
  return (block, { z, lse }, otherwise) => {
    const { emit: e } = block;
    const there = block.at(columns);
    const own = e('Mul', [there.weights(lse), e('Unsqueeze', [marks, e.ints(2)])]);
    const onSinks = e.reduce('ReduceSum', own, 3);
    const [edited, fit] = e.call(calibrateOutputs, z, onSinks, there.values(own), block.total(lse), beta);
    const [chosen] = e.either(
      e('And', [few, fit!]),
      (inner) => [[inner('Identity', [edited!]), DataType.FLOAT]],
      (inner) => [[otherwise(block.within(inner)), DataType.FLOAT]],
    );
    return chosen!;
  };
}
