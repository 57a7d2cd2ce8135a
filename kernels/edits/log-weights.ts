/**
 * Multiply the softmax weight of chosen keys by w per head and renormalise,
 *
 *   softmax(s + ln w)_j = w_j e^{s_j} / Σ_i w_i e^{s_i}
 *
 * so a weight is an additive bias on the logits and a fused operator can stay. ZeroTuning, where the key is the first token.
 */
import { primitive } from '../../onnx/emitter.ts';
import { floatTensor } from '../../onnx/index.ts';
import { at, build, map, type Tensor } from '../reference/tensor.ts';
import { defineEdit } from './edit.ts';

/** The first real token, from a knob that says where it is, or keys that a knob marks. */
type Marked = { readonly keys: 'first' | 'given' };

/** A factor w on the softmax weight of marked keys: s'_t = s_t + ln w. */
export const logWeights = defineEdit<Marked>({
  kind: 'log-weights',
  stage: 'logits',
  reference: 'ZeroTuning, arXiv 2505.11739',
  knobs: ({ keys }) => [
    // One value where all heads agree: a fused operator's bias is then shared by the heads, and cheap.
    {
      name: 'log_weight',
      axes: ['B', 'H|1'],
      neutral: 0,
      doc: 'ln of the factor on the weight of the marked keys.',
    },
    keys === 'first'
      ? { name: 'first', axes: ['B'], neutral: 0, type: 'int64', doc: 'Column of the first real token.' }
      : { name: 'keys', axes: ['B', 'T|1'], neutral: 0, doc: '1 at the keys whose weight changes.' },
  ],
  solve({ keys }, call, logits) {
    const [w, marks] = [call.value('log_weight'), call.value(keys === 'first' ? 'first' : 'keys')];
    const marked = (b: number, t: number) =>
      keys === 'first' ? Number(t === at(marks, b)) : at(marks, b, t);
    const value = build(logits.shape, (...i) => {
      const [b, h, , t] = i as [number, number, number, number];
      return at(logits, ...i) + at(w, b, h) * marked(b, t);
    });
    return { value };
  },
  random({ B, H, T, first, tensor, uniform }) {
    const log_weight = map(tensor([1, H]), (x) => Math.log(4 * x + 0.01));
    const marks: Record<string, Tensor> =
      uniform() < 0.3 ? { first } : { keys: tensor([B, T], () => Number(uniform() < 0.2)) };
    return { options: { keys: 'first' in marks ? 'first' : 'given' }, values: { log_weight, ...marks } };
  },
  bias({ keys }, { emit, T, value, overKeys }) {
    const marked = keys === 'first' ? emit.call(firstKeys, value('first'), T)[0]! : overKeys('keys', 1);
    const perHead = emit('Unsqueeze', [value('log_weight'), emit.ints(2, 3)]);
    return emit('Mul', [perHead, emit('Unsqueeze', [marked, emit.ints(1, 2)])]);
  },
});

const firstKeys = primitive(
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
