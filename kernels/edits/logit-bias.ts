/**
 * A logit bias per head and key,
 *
 *   s'_t = s_t + c_t
 *
 * before the softmax: c = ln w multiplies the key's weight by w and renormalises the row.
 */
import { at, build } from '../reference/tensor.ts';
import { defineEdit } from './edit.ts';

/** A bias on the logits per head and key: s'_t = s_t + c_t. */
export const logitBias = defineEdit({
  kind: 'logit-bias',
  stage: 'logits',
  reference: 'additive attention bias; position bias of T5, arXiv 1910.10683',
  knobs: () => [
    {
      name: 'key_bias',
      axes: ['B', 'H|1', 'T|1'],
      neutral: 0,
      doc: 'Added to the logits; ln of a factor on the weight.',
    },
  ],
  solve: (_options, call, logits) => {
    const c = call.value('key_bias');
    return { value: build(logits.shape, (...i) => at(logits, ...i) + at(c, i[0]!, i[1]!, i[3]!)) };
  },
  random: ({ B, H, T, tensor, uniform }) => ({
    options: {},
    values: { key_bias: tensor([B, H, T], () => uniform() - 0.5) },
  }),
  bias: (_options, { emit, overKeys }) => emit('Unsqueeze', [overKeys('key_bias', 1, 1), emit.ints(2)]),
});
