/** Sinks inside the graph: keys whose mean weight, or weight in one row, exceeds a threshold. */
import { type Emit, primitive } from '../../../onnx/emitter.ts';
import { DataType, floatTensor } from '../../../onnx/index.ts';

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
