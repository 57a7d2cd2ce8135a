/**
 * Position-invariant attention of one token after the documents, batch of one: decoding, as a chain of few nodes. Logits are
 * keys times queries, so that keys are read as they lie and only once; those of documents lie side by side in a table
 * that the first call made, one product for all of them.
 */

import { type Emit, emitter, HIDDEN, toFloat } from '../../../onnx/emitter.ts';
import { DataType } from '../../../onnx/index.ts';
import { type Body, callFunction } from './function.ts';
import { rotate, rotateMore } from './rotate.ts';
import type { SegmentedSite, SegmentValue, Written } from './site.ts';
import { probabilities } from './steps.ts';

/** For mode 'pine', with a cache. The call must be what `Layout.one` says. */
export function afterDocuments(site: SegmentedSite): Written {
  const emit = emitter(site.opset, `${site.name}.after.`);
  const { H, K, D, documents, elemType, layout, rotary, past } = site;
  const grouped = (x: string) => emit('Reshape', [x, emit.ints(1, K, H / K, D)]);
  const q = emit('Mul', [toFloat(emit, flat(emit, site.q), elemType), emit.float(site.scale)]);
  const atBase = rotate(emit, q, layout.positions, rotary, { heads: H, D });
  const key = rotate(emit, toFloat(emit, flat(emit, site.k), elemType), layout.positions, rotary, {
    heads: K,
    D,
  });
  const fresh = emit('Reshape', [key, emit.ints(1, K, 1, D)]);
  const typed = elemType === DataType.FLOAT ? fresh : emit('Cast', [fresh], { to: elemType });
  const keys = emit('Concat', [past!.k, typed], { axis: 2 });
  const values = past!.v
    ? emit('Concat', [past!.v, emit('Reshape', [site.v.value, emit.ints(1, K, 1, -1)])], { axis: 2 })
    : site.v.value;
  const [z] = callFunction(
    emit,
    site,
    [
      ['q', grouped(q)],
      ['turned', grouped(scaled(emit, site, atBase))],
      ['k', toFloat(emit, keys, elemType)],
      ['v', toFloat(emit, values, elemType)],
      ['documents', site.pastDocuments!],
      ['folded', site.pastFolded!],
      ['average', layout.average],
      ['earlier', layout.earlier],
      ['lengths', layout.lengths],
      ['begin', layout.begin],
      ['start', layout.start],
      ['end', layout.end],
      ['unfold', layout.unfold],
      ['shift_cos', rotary.shiftCos],
      ['shift_sin', rotary.shiftSin],
    ],
    BODY,
  );
  const shape = site.zLayout === 'BS(ND)' ? emit.ints(1, 1, -1) : emit.ints(1, H, 1, -1);
  const out = emit('Reshape', [z!, shape]);
  return {
    nodes: emit.nodes,
    functions: emit.functions,
    results: {
      z: elemType === DataType.FLOAT ? out : emit('Cast', [out], { to: elemType }),
      k: keys,
      v: past!.v === undefined ? undefined : values,
      documents: emit('Expand', [emit.float(0), emit.ints(1, K, 0, D)]),
      folded: emit('Expand', [emit.float(0), emit.ints(1, K, documents, 0, D)]),
    },
  };
}

/** [1, 1, N·D]: of one token all layouts are the same numbers in the same order. */
function flat(emit: Emit, { value, layout }: SegmentValue): string {
  return layout === 'BS(ND)' ? value : emit('Reshape', [value, emit.ints(1, 1, -1)]);
}

function scaled(emit: Emit, { H, D, queryScale }: SegmentedSite, turned: string): string {
  if (!queryScale) return turned;
  const heads = emit('Reshape', [turned, emit.ints(1, H, D)]);
  return emit('Mul', [heads, emit('Unsqueeze', [queryScale, emit.ints(2)])]);
}

const BODY: Body = {
  name: 'AttentionAfterDocuments',
  outputs: ['z'],
  doc: 'One token: q [1, K, G, D], unrotated, and turned, at its position, over k, v [1, K, T, ·]; documents [1, K, W, D], unrotated, folded [1, K, k, N, D], at base positions → z [1, K, G, E].',
  write(emit, { H, K, D, documents: k, rotary }, extras) {
    const G = H / K;
    const transposed = (x: string, rank: number) => {
      const perm = Array.from({ length: rank }, (_, axis) => axis);
      return emit('Transpose', [x], { perm: [...perm.slice(0, -2), rank - 1, rank - 2] });
    };
    // Importance and shift of each document, [1, K, k, G].
    const weights = emit('Softmax', [emit('MatMul', ['documents', transposed('q', 4)])], { axis: 2 });
    const perDocument = emit('Unsqueeze', [transposed('average', 3), emit.ints(0)]); // [1, 1, k, W]
    const importance = emit('MatMul', [perDocument, weights]);
    const x = emit('Unsqueeze', [importance, emit.ints(3)]);
    const j = emit('Unsqueeze', [importance, emit.ints(2)]);
    const order = emit('Reshape', ['earlier', emit.ints(1, 1, k, k, 1)]);
    const before = emit('Or', [emit('Greater', [x, j]), emit('And', [emit('Equal', [x, j]), order])]);
    const sizes = emit('Reshape', ['lengths', emit.ints(k, 1, 1)]);
    const ahead = emit('Where', [before, sizes, emit.float(0)]); // [1, K, k, k, G]
    const shifts = emit('Cast', [emit('ReduceSum', [ahead, emit.ints(2)], { keepdims: 0 })], {
      to: DataType.INT64,
    });
    // A query turned for each document, [1, K, k, G, D].
    const copies = emit('Expand', [
      emit('Reshape', ['turned', emit.ints(K, 1, G, D)]),
      emit.ints(1, k, 1, 1),
    ]);
    const rows = emit('Reshape', [copies, emit.ints(K * k, G, D)]);
    const tables = { shiftCos: 'shift_cos', shiftSin: 'shift_sin', ...rotary };
    const more = rotateMore(emit, rows, emit('Reshape', [shifts, emit.ints(K * k, G)]), tables, D);
    const queries = emit('Reshape', [more, emit.ints(1, K, k, G, D)]);
    const inside = emit('MatMul', ['folded', transposed(queries, 5)]); // [1, K, k, N, G]
    const outer = [emit.slice('k', 2, 'begin', 'start'), emit.slice('k', 2, 'end', emit.ints(2 ** 31))];
    const outside = emit('MatMul', [emit('Concat', outer, { axis: 2 }), transposed('turned', 4)]);
    const hidden = emit('Expand', [emit.float(HIDDEN), emit.ints(1, K, 1, G)]);
    const all = emit('Concat', [outside, emit('Reshape', [inside, emit.ints(1, K, -1, G)]), hidden], {
      axis: 2,
    });
    const logits = transposed(emit('Gather', [all, 'unfold'], { axis: 2 }), 4); // [1, K, G, T]
    const edited = extras.size > 0;
    const byHead = edited ? emit('Reshape', [logits, emit.ints(1, H, 1, -1)]) : logits;
    const probs = probabilities(emit, byHead, extras, extras.has('bias') ? 'bias' : undefined);
    const grouped = edited ? emit('Reshape', [probs, emit.ints(1, K, G, -1)]) : probs;
    emit.as('z', 'MatMul', [grouped, 'v']);
  },
};
