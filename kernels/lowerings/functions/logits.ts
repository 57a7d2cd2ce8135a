/** Edits of the logits (G3): temperature, gain by size, log-weights. Shapes [B, H, S, T], before the mask. */
import { primitive } from '../../../onnx/emitter.ts';

export const temperature = primitive(
  {
    name: 'Temperature',
    inputs: ['scores', 'a'],
    outputs: ['edited'],
    doc: 'a·scores; a [B|1, H] or [1, 1].',
  },
  (emit) => {
    emit.as('edited', 'Mul', ['scores', emit('Unsqueeze', ['a', emit.ints(2, 3)])]);
  },
);

/** A logit raised by a share of its own size: imbalanced attention, PAI. */
export const logitGain = primitive(
  {
    name: 'LogitGain',
    inputs: ['scores', 'raw', 'b'],
    outputs: ['edited'],
    doc: 'scores + b·|raw|; b [B|1, H|1, S|1, T|1]; raw are the logits before any edit.',
  },
  (emit) => {
    emit.as('edited', 'Add', ['scores', emit('Mul', [emit('Abs', ['raw']), 'b'])]);
  },
);

/** ln w on the marked keys: the weight is multiplied by w and the row renormalised. */
export const logWeights = primitive(
  {
    name: 'LogWeights',
    inputs: ['scores', 'log_weight', 'keys'],
    outputs: ['edited'],
    doc: 'scores + log_weight·keys; log_weight [B|1, H|1], keys [B|1, T].',
  },
  (emit) => {
    const perHead = emit('Unsqueeze', ['log_weight', emit.ints(2, 3)]);
    const bias = emit('Mul', [perHead, emit('Unsqueeze', ['keys', emit.ints(1, 2)])]);
    emit.as('edited', 'Add', ['scores', bias]);
  },
);
