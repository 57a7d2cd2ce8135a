/** From queries and keys to probabilities and back to outputs, without repeating keys or values for grouped heads. */

import { HIDDEN, primitive } from '../../../onnx/emitter.ts';
import { DataType } from '../../../onnx/index.ts';
import { BEYOND } from '../blocks.ts';

/**
 * Query heads of one group become rows of one matrix, [B, K, G·S, D], so a key/value head is read once per group and
 * never repeated in memory. `groups` is int64 (0, K, -1, 0) and `heads` (0, H, -1, 0), shapes as Reshape takes them.
 */
export const groupedScores = primitive(
  {
    name: 'GroupedScores',
    inputs: ['q', 'k', 'scale', 'groups', 'heads'],
    outputs: ['scores'],
    doc: 'q [B, H, S, D], k [B, K, T, D] → scale · q·kᵀ [B, H, S, T]; head h reads key head ⌊h/(H/K)⌋. groups (0, K, -1, 0), heads (0, H, -1, 0) int64.',
  },
  (emit) => {
    const rows = emit('Mul', [emit('Reshape', ['q', 'groups']), 'scale']);
    const product = emit('MatMul', [rows, emit('Transpose', ['k'], { perm: [0, 1, 3, 2] })]);
    emit.as('scores', 'Reshape', [product, 'heads']);
  },
);

export const groupedValues = primitive(
  {
    name: 'GroupedValues',
    inputs: ['pattern', 'v', 'groups', 'heads'],
    outputs: ['z'],
    doc: 'pattern [B, H, S, T], v [B, K, T, E] → z [B, H, S, E]; head h reads value head ⌊h/(H/K)⌋. groups (0, K, -1, 0), heads (0, H, -1, 0) int64.',
  },
  (emit) => {
    const product = emit('MatMul', [emit('Reshape', ['pattern', 'groups']), 'v']);
    emit.as('z', 'Reshape', [product, 'heads']);
  },
);

export const softCap = primitive(
  {
    name: 'SoftCap',
    inputs: ['scores', 'cap'],
    outputs: ['capped'],
    doc: 'cap · tanh(scores / cap).',
  },
  (emit) => {
    emit.as('capped', 'Mul', [emit('Tanh', [emit('Div', ['scores', 'cap'])]), 'cap']);
  },
);

/** Rows `from`… of the sequence against some columns. */
export const causalBias = primitive(
  {
    name: 'CausalBias',
    inputs: ['from', 'rows', 'columns', 'window'],
    outputs: ['bias'],
    doc: 'int64: position of the first row [1], number of rows [1], positions of keys [C], keys seen to the left [1] (0: all) → [1, 1, rows, C], 0 where a row may see a key, else very low.',
  },
  (emit) => {
    const scalar = (x: string) => emit('Squeeze', [x]);
    const row = emit('Unsqueeze', [
      emit('Range', [scalar('from'), scalar(emit('Add', ['from', 'rows'])), emit.int(1)]),
      emit.ints(1),
    ]);
    const later = emit('Greater', ['columns', row]);
    const unlimited = emit('Equal', ['window', emit.ints(0)]);
    const reach = emit('Where', [unlimited, emit.ints(BEYOND), 'window']);
    const gone = emit('LessOrEqual', [emit('Add', ['columns', reach]), row]);
    const hidden = emit('Or', [later, gone]);
    const bias = emit('Where', [hidden, emit.float(HIDDEN), emit.float(0)]);
    emit.as('bias', 'Unsqueeze', [bias, emit.ints(0, 1)]);
  },
);

export const paddingBias = primitive(
  {
    name: 'PaddingBias',
    inputs: ['keys'],
    outputs: ['bias'],
    doc: 'keys [B, T], 0 at padding → [B, 1, 1, T], 0 at real keys, else very low.',
  },
  (emit) => {
    const real = emit('Cast', ['keys'], { to: DataType.BOOL });
    const bias = emit('Where', [real, emit.float(0), emit.float(HIDDEN)]);
    emit.as('bias', 'Unsqueeze', [bias, emit.ints(1, 2)]);
  },
);

/** Softmax with a learned logit per head that takes weight and gives no value. */
export const sinkSoftmax = primitive(
  {
    name: 'SinkSoftmax',
    inputs: ['scores', 'head_sink'],
    outputs: ['pattern'],
    doc: 'scores [B, H, S, T], head_sink [H] → e^s / (Σ e^s + e^sink).',
  },
  (emit) => {
    const sink = emit('Unsqueeze', [emit('Cast', ['head_sink'], { to: DataType.FLOAT }), emit.ints(0, 2, 3)]);
    const top = emit('Max', [emit.reduce('ReduceMax', 'scores', 3), sink]);
    const weights = emit('Exp', [emit('Sub', ['scores', top])]);
    const sum = emit('Add', [emit.reduce('ReduceSum', weights, 3), emit('Exp', [emit('Sub', [sink, top])])]);
    emit.as('pattern', 'Div', [weights, sum]);
  },
);

/** What a row's logits are taken down by to be logarithms of its probabilities. */
export const logSumExp = primitive(
  {
    name: 'LogSumExp',
    inputs: ['logits', 'pattern'],
    outputs: ['lse'],
    doc: 'logits [B, H, S, T] and the probabilities made of them → ln of what the softmax divided by [B, H, S, 1], from each row’s largest; for rows that see nothing a number that leaves hidden keys no weight.',
  },
  (emit) => {
    const largest = emit.reduce('ReduceMax', 'logits', 3);
    const weight = emit('Log', [emit.reduce('ReduceMax', 'pattern', 3)]);
    emit.as('lse', 'Max', [emit('Sub', [largest, weight]), emit.float(HIDDEN / 10)]);
  },
);
