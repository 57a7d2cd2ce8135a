/** Marking keys: which columns a log-weight touches. */

import { primitive } from '../../../onnx/emitter.ts';
import { floatTensor } from '../../../onnx/index.ts';

/** The first real key of each batch row. */
export const firstKeys = primitive(
  {
    name: 'FirstKeys',
    inputs: ['first', 'T'],
    outputs: ['keys'],
    doc: 'first [B|1] int64, T [1] int64 → keys [B|1, T], 1 at column first[b], else 0.',
  },
  (emit) => {
    const values = emit('Constant', [], { value: floatTensor('', [0, 1], [2]) });
    emit.as('keys', 'OneHot', ['first', 'T', values]);
  },
);

/** softmax(s + ln w): a log-weight per head on the marked keys, as bias for a fused operator. */
export const keyBias = primitive(
  {
    name: 'KeyBias',
    inputs: ['log_weight', 'keys'],
    outputs: ['bias'],
    doc: 'log_weight [B|1, H|1], keys [B|1, T|1] → bias [B|1, H|1, 1, T|1] = log_weight · keys.',
  },
  (emit) => {
    const perHead = emit('Unsqueeze', ['log_weight', emit.ints(2, 3)]);
    emit.as('bias', 'Mul', [perHead, emit('Unsqueeze', ['keys', emit.ints(1, 2)])]);
  },
);
