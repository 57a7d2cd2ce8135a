/** Column statistics of a map inside the graph: what each key gets from the rows that see it. */

import { type Emit, primitive } from '../../../onnx/emitter.ts';

/** Σ over the counted rows, as a MatMul with one row so that nothing of size S×T is written. */
export const columnSums = primitive(
  {
    name: 'ColumnSums',
    inputs: ['pattern', 'counted'],
    outputs: ['sums'],
    doc: 'pattern [B, H, S, T], counted [B|1, 1, 1, S] of 0 and 1 → Σ over counted rows [B, H, T].',
  },
  (emit) => {
    emit.as('sums', 'Squeeze', [emit('MatMul', ['counted', 'pattern']), emit.ints(2)]);
  },
);

const COUNT_DOC =
  'counted [B|1, 1, 1, S] real rows of this call, keys [B|1, T] real keys, past int64 [1] → number of counted rows that see each key [B|1, T]';

/** Under a causal mask a key is seen by every row from its own on: a running sum from the end. */
export const columnCounts = primitive(
  {
    name: 'ColumnCounts',
    inputs: ['counted', 'keys', 'past'],
    outputs: ['counts'],
    doc: `${COUNT_DOC}.`,
  },
  (emit) => {
    emit.as('counts', 'Mul', [rowsFromHereOn(emit), 'keys']);
  },
);

/** Within a window, rows beyond it are taken off again. */
export const columnCountsWindow = primitive(
  {
    name: 'ColumnCountsWindow',
    inputs: ['counted', 'keys', 'past', 'window'],
    outputs: ['counts'],
    doc: `${COUNT_DOC}; window int64 [1], keys seen to the left.`,
  },
  (emit) => {
    const later = rowsFromHereOn(emit);
    const T = emit.dim('keys', 1);
    const reach = emit('Min', ['window', T]);
    const beyond = emit.slice(later, 1, reach, T);
    const shifted = emit('Pad', [beyond, emit('Concat', [emit.ints(0, 0, 0), reach], { axis: 0 })]);
    emit.as('counts', 'Mul', [emit('Sub', [later, shifted]), 'keys']);
  },
);

/** Counted rows at position t or later: [B|1, T]. */
function rowsFromHereOn(emit: Emit): string {
  const rows = emit('Squeeze', ['counted', emit.ints(1, 2)]); // [B|1, S]
  const pads = emit('Concat', [emit.ints(0), 'past', emit.ints(0, 0)], { axis: 0 });
  return emit('CumSum', [emit('Pad', [rows, pads]), emit.int(1)], { reverse: 1 });
}

/** Running totals: keys the earlier calls did not have start from zero. */
export const addRunning = primitive(
  {
    name: 'AddRunning',
    inputs: ['before', 'now', 'T'],
    outputs: ['total'],
    doc: 'before [B, N, P], now [B, N, T] or one number for all keys, T int64 [1], P ≤ T → now + before, padded with zeros.',
  },
  (emit) => {
    const missing = emit('Sub', ['T', emit.dim('before', 2)]);
    const pads = emit('Concat', [emit.ints(0, 0, 0, 0, 0), missing], { axis: 0 });
    emit.as('total', 'Add', ['now', emit('Pad', ['before', pads])]);
  },
);
