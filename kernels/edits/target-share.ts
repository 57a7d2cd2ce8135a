/**
 * A share of a row's attention that marked keys get at least, over all heads of the layer together:
 *
 *   m_h = Σ_marked P_ht    c = mean over heads of m_h    w_h = max(ψ_h / c, 1)
 *   P'_ht = w_h P_ht / (1 + (w_h − 1) m_h) on marked keys,  P_ht / (1 + (w_h − 1) m_h) elsewhere
 *
 * ln w on the marked keys' logits, w being what brings the mean share to ψ if nothing were renormalised. ψ = 0 leaves a head alone.
 */
import { primitive } from '../../onnx/emitter.ts';
import { at, build, type Tensor } from '../reference/tensor.ts';
import { defineEdit } from './edit.ts';

/** Against a mean share of 0; marked keys that get nothing stay without. */
const SMALLEST = 1e-10;

/** SpotLight: marked keys get at least the share ψ of a row. */
export const targetShare = defineEdit({
  kind: 'target-share',
  stage: 'probabilities',
  reference: 'SpotLight, arXiv 2505.12025',
  knobs: () => [
    { name: 'keys', axes: ['B', 'T|1'], neutral: 0, doc: '1 at the marked keys.' },
    {
      name: 'share',
      axes: ['B', 'H|1'],
      neutral: 0,
      doc: 'ψ: mean weight that marked keys shall have at least.',
    },
  ],
  solve(_options, call, pattern) {
    const [keys, share] = [call.value('keys'), call.value('share')];
    const [, H, , T] = pattern.shape as [number, number, number, number];
    const mass = (b: number, h: number, s: number) => {
      let sum = 0;
      for (let t = 0; t < T; t++) sum += at(keys, b, t) * at(pattern, b, h, s, t);
      return sum;
    };
    const weight = (b: number, h: number, s: number) => {
      let mean = 0;
      for (let head = 0; head < H; head++) mean += mass(b, head, s) / H;
      return Math.max(at(share, b, h) / Math.max(mean, SMALLEST), 1);
    };
    return { value: reweighted(pattern, keys, weight, mass) };
  },
  random: ({ B, H, T, tensor, uniform }) => ({
    options: {},
    values: {
      keys: tensor([B, T], () => Number(uniform() < 0.3)),
      share: tensor([1, H], () => (uniform() < 0.3 ? 0 : uniform())),
    },
  }),
  pattern(_options, call) {
    const keys = call.overKeys('keys', 1); // [B|1, T]
    const share = call.emit('Unsqueeze', [call.value('share'), call.emit.ints(2, 3)]); // [B|1, H|1, 1, 1]
    return (block, pattern) => {
      const { emit } = block;
      const marked = emit('Unsqueeze', [block.cutKeys(keys, 1), emit.ints(1, 2)]); // [B|1, 1, 1, columns]
      return emit.call(toShare, pattern, marked, share)[0]!;
    };
  },
});

type Rows = (b: number, h: number, s: number) => number;

function reweighted(pattern: Tensor, keys: Tensor, weight: Rows, mass: Rows): Tensor {
  const [B, H, S] = pattern.shape as [number, number, number, number];
  const factors = build([B, H, S, 2], (...i) => {
    const [b, h, s, which] = i as [number, number, number, number];
    const w = weight(b, h, s);
    return which === 0 ? w : 1 + (w - 1) * mass(b, h, s);
  });
  return build(pattern.shape, (...i) => {
    const [b, h, s, t] = i as [number, number, number, number];
    const [w, sum] = [at(factors, b, h, s, 0), at(factors, b, h, s, 1)];
    return (at(pattern, ...i) * (1 + (w - 1) * at(keys, b, t))) / sum;
  });
}

const toShare = primitive(
  {
    name: 'TargetShare',
    inputs: ['pattern', 'keys', 'share'],
    outputs: ['shared'],
    doc: 'pattern [B, H, rows, T], keys [B|1, 1, 1, T], share [B|1, H|1, 1, 1] → the pattern, marked keys at their share.',
  },
  (emit) => {
    const mass = emit('ReduceSum', [emit('Mul', ['pattern', 'keys']), emit.ints(3)], { keepdims: 1 });
    const heads = emit('Cast', [emit.dim('pattern', 1)], { to: 1 });
    const mean = emit('Div', [emit('ReduceSum', [mass, emit.ints(1)], { keepdims: 1 }), heads]);
    const wanted = emit('Div', ['share', emit('Max', [mean, emit.float(SMALLEST)])]);
    const more = emit('Sub', [emit('Max', [wanted, emit.float(1)]), emit.float(1)]); // w − 1
    const sum = emit('Add', [emit('Mul', [more, mass]), emit.float(1)]);
    const weights = emit('Add', [emit('Mul', [more, 'keys']), emit.float(1)]);
    emit.as('shared', 'Div', [emit('Mul', ['pattern', weights]), sum]);
  },
);
