/**
 * Temperature per head: every logit times a factor,
 *
 *   s' = a s        a = 1/τ
 *
 * before mask and softmax; a = 1 leaves a head alone, a = 0 makes its rows uniform.
 */
import { at, build } from '../reference/tensor.ts';
import { defineEdit } from './edit.ts';

/** A factor on the logits: s' = a s, a = 1/τ. */
export const temperature = defineEdit({
  kind: 'temperature',
  stage: 'logits',
  reference: 'TempScale, arXiv 2410.24200: logits divided by τ',
  knobs: () => [
    { name: 'a', axes: ['B', 'H'], neutral: 1, doc: 'Factor on the logits, 1/τ. 0 makes a row uniform.' },
  ],
  solve: (_options, call, logits) => {
    const a = call.value('a');
    return { value: build(logits.shape, (...i) => at(a, i[0]!, i[1]!) * at(logits, ...i)) };
  },
  random: ({ H, tensor, uniform }) => ({
    options: {},
    values: { a: tensor([1, H], () => 0.5 + uniform()) },
  }),
  logits: (_options, call) => {
    const factor = call.emit('Unsqueeze', [call.value('a'), call.emit.ints(2, 3)]); // [B|1, H, 1, 1]
    return ({ emit }, logits) => emit('Mul', [logits, factor]);
  },
});
