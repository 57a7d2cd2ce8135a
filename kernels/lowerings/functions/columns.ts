/** Column statistics and the sinks found from them: ACT's detection inside the graph. */
import { DataType } from '../../../hooks/onnx/index.ts';
import { type Emit, primitive } from '../emit.ts';

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
    inputs: ['before', 'now'],
    outputs: ['total'],
    doc: 'before [B, N, P], now [B, N, T], P ≤ T → now + before, padded with zeros.',
  },
  (emit) => {
    const missing = emit('Sub', [emit.dim('now', 2), emit.dim('before', 2)]);
    const pads = emit('Concat', [emit.ints(0, 0, 0, 0, 0), missing], { axis: 0 });
    emit.as('total', 'Add', ['now', emit('Pad', ['before', pads])]);
  },
);

const SINK_INPUTS = ['sums', 'counts', 'keys', 'first', 'tau', 'alpha'];
const SINK_DOC =
  'sums [B, H, T], counts [B|1, T], keys [B|1, T] real keys, first [B|1] int64, tau and alpha [B|1, H|1] → 1 where the mean weight exceeds tau + alpha/N (N real keys)';

export const sinksInitial = sinksForm(false, 'Sinks', `${SINK_DOC}, never the first real key.`);
export const sinksFirstDetected = sinksForm(
  true,
  'SinksFirstDetected',
  `${SINK_DOC}, except the first such key.`,
);

function sinksForm(firstDetected: boolean, name: string, doc: string) {
  return primitive({ name, inputs: SINK_INPUTS, outputs: ['sinks', 'score'], doc }, (emit) => {
    const counts = emit('Unsqueeze', ['counts', emit.ints(1)]); // [B|1, 1, T]
    const seen = emit('Greater', [counts, emit.float(0)]);
    emit.as('score', 'Where', [
      seen,
      emit('Div', ['sums', emit('Where', [seen, counts, emit.float(1)])]),
      emit.float(0),
    ]);
    const N = emit('Unsqueeze', [emit.reduce('ReduceSum', 'keys', 1), emit.ints(2)]); // [B|1, 1, 1]
    const perHead = (x: string) => emit('Unsqueeze', [x, emit.ints(2)]);
    const threshold = emit('Add', [perHead('tau'), emit('Div', [perHead('alpha'), N])]);
    const hit = emit('And', [emit('Greater', ['score', threshold]), seen]);
    const spared = firstDetected ? firstHit() : initial();
    emit.as('sinks', 'Cast', [emit('And', [hit, emit('Not', [spared])])], { to: DataType.FLOAT });

    function firstHit() {
      const found = emit('CumSum', [emit('Cast', [hit], { to: DataType.FLOAT }), emit.int(2)]);
      return emit('Less', [found, emit.float(1.5)]);
    }
    function initial() {
      const columns = emit('Range', [emit.int(0), emit('Squeeze', [emit.dim('sums', 2)]), emit.int(1)]);
      return emit('Equal', [columns, emit('Unsqueeze', ['first', emit.ints(1, 2)])]); // [B|1, 1, T]
    }
  });
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
    const spared = firstDetected ? firstHit() : initial();
    emit.as('sinks', 'Cast', [emit('And', [hit, emit('Not', [spared])])], { to: DataType.FLOAT });

    function firstHit() {
      const found = emit('CumSum', [emit('Cast', [hit], { to: DataType.FLOAT }), emit.int(3)]);
      return emit('Less', [found, emit.float(1.5)]);
    }
    function initial() {
      const width = emit('Squeeze', [emit.dim('pattern', 3)]);
      const columns = emit('Add', [emit('Range', [emit.int(0), width, emit.int(1)]), 'start']);
      return emit('Equal', [columns, emit('Unsqueeze', ['first', emit.ints(1, 2, 3)])]);
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
