/** Marking keys: which columns a log-weight touches. */
import { DataType } from '../../../hooks/onnx/index.ts';
import { primitive } from '../emit.ts';

/** The first real key of each batch row. */
export const firstKeys = primitive(
  {
    name: 'FirstKeys',
    inputs: ['first', 'T'],
    outputs: ['keys'],
    doc: 'first [B|1] int64, T [1] int64 → keys [B|1, T], 1 at column first[b], else 0.',
  },
  (emit) => {
    const columns = emit('Range', [emit.int(0), emit('Squeeze', ['T']), emit.int(1)]);
    const hit = emit('Equal', [columns, emit('Unsqueeze', ['first', emit.ints(1)])]);
    emit.as('keys', 'Cast', [hit], { to: DataType.FLOAT });
  },
);

/** softmax(s + ln w): a log-weight per head on the marked keys, as bias for a fused operator. */
export const keyBias = primitive(
  {
    name: 'KeyBias',
    inputs: ['log_weight', 'keys', 'S'],
    outputs: ['bias'],
    doc: 'log_weight [B|1, H|1], keys [B|1, T], S [1] int64 → bias [B|1, H|1, S, T] = log_weight · keys.',
  },
  (emit) => {
    const perHead = emit('Unsqueeze', ['log_weight', emit.ints(2, 3)]);
    const product = emit('Mul', [perHead, emit('Unsqueeze', ['keys', emit.ints(1, 2)])]);
    emit.as('bias', 'Expand', [product, emit('Concat', [emit.ints(1, 1), 'S', emit.ints(1)], { axis: 0 })]);
  },
);

/** A log-weight per head and key, the same for all rows. */
export const rowBias = primitive(
  {
    name: 'RowBias',
    inputs: ['log_weight', 'S', 'T'],
    outputs: ['bias'],
    doc: 'log_weight [B|1, H|1, T|1] → bias [B|1, H|1, S, T], every row the same.',
  },
  (emit) => {
    const perRow = emit('Unsqueeze', ['log_weight', emit.ints(2)]);
    emit.as('bias', 'Expand', [perRow, emit('Concat', [emit.ints(1, 1), 'S', 'T'], { axis: 0 })]);
  },
);
