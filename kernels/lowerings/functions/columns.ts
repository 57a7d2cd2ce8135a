/** Column statistics and the sinks found from them: ACT's detection inside the graph. */

import { type Emit, primitive } from '../../../onnx/emitter.ts';
import { DataType, floatTensor } from '../../../onnx/index.ts';

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

const SINK_INPUTS = ['sums', 'counts', 'N', 'first', 'T', 'tau', 'alpha'];
const SINK_DOC =
  'sums [B, H, T], counts [B|1, 1, T|1] of rows that see a key, N real keys [B|1, 1] or [1], first [B|1] and T [1] int64, tau and alpha [B|1, H|1] → 1 where the mean weight exceeds tau + alpha/N';

export const sinksInitial = sinksForm(false, 'Sinks', `${SINK_DOC}, never the first real key.`);
export const sinksFirstDetected = sinksForm(
  true,
  'SinksFirstDetected',
  `${SINK_DOC}, except the first such key.`,
);

function sinksForm(firstDetected: boolean, name: string, doc: string) {
  return primitive({ name, inputs: SINK_INPUTS, outputs: ['sinks', 'score'], doc }, (emit) => {
    const zero = emit.float(0);
    // What no row sees has no weight to divide.
    emit.as('score', 'Div', ['sums', emit('Max', ['counts', emit.float(1)])]);
    const limit = emit('Add', ['tau', emit('Div', ['alpha', 'N'])]);
    const hit = emit('Greater', ['score', emit('Unsqueeze', [limit, emit.ints(2)])]);
    if (firstDetected) {
      const seen = emit('And', [hit, emit('Greater', ['counts', zero])]);
      emit.as('sinks', 'Where', [seen, afterFirstHit(emit, seen, 2), zero]);
      return;
    }
    const values = emit('Constant', [], { value: floatTensor('', [1, 0], [2]) });
    const others = emit('OneHot', [emit('Unsqueeze', ['first', emit.ints(1)]), 'T', values]); // [B|1, 1, T]
    emit.as('sinks', 'Where', [hit, emit('Min', [others, 'counts']), zero]);
  });
}

/** 0 up to the first key that is hit, 1 after it. */
function afterFirstHit(emit: Emit, hit: string, axis: number): string {
  const found = emit('CumSum', [emit('Cast', [hit], { to: DataType.FLOAT }), emit.int(axis)]);
  return emit('Cast', [emit('Greater', [found, emit.float(1.5)])], { to: DataType.FLOAT });
}

const ROW_INPUTS = ['pattern', 'seen', 'start', 'first', 'tau', 'alpha'];
const ROW_DOC =
  'pattern [B, H, S, T], seen [B|1, 1, S, 1] keys each row sees, start int64 [1] position of the first column → 1 where a weight exceeds tau + alpha/seen';

export const rowSinksInitial = rowForm(false, 'RowSinks', `${ROW_DOC}, never the first real key.`);
export const rowSinksFirstDetected = rowForm(
  true,
  'RowSinksFirstDetected',
  `${ROW_DOC}, except the first such key.`,
);

function rowForm(firstDetected: boolean, name: string, doc: string) {
  return primitive({ name, inputs: ROW_INPUTS, outputs: ['sinks'], doc }, (emit) => {
    const perHead = (x: string) => emit('Unsqueeze', [x, emit.ints(2, 3)]);
    const threshold = emit('Add', [perHead('tau'), emit('Div', [perHead('alpha'), 'seen'])]);
    const hit = emit('Greater', ['pattern', threshold]);
    const open = firstDetected ? afterFirstHit(emit, hit, 3) : afterInitial();
    emit.as('sinks', 'Where', [hit, open, emit.float(0)]);

    function afterInitial() {
      const width = emit('Squeeze', [emit.dim('pattern', 3)]);
      const columns = emit('Add', [emit('Range', [emit.int(0), width, emit.int(1)]), 'start']);
      const isFirst = emit('Equal', [columns, emit('Unsqueeze', ['first', emit.ints(1, 2, 3)])]);
      return emit('Where', [isFirst, emit.float(0), emit.float(1)]);
    }
  });
}

/** Part of all keys beyond which columns one by one gain little over a whole map. */
const FEW = 4;

/** Where any head has a sink that it calibrates. */
export const sinkColumns = primitive(
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
