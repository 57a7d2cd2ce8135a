/**
 * Logit gain: chosen keys' logits raised by a share of their own size,
 *
 *   s'_t = s_t + b_t |raw_t|
 *
 * raw being the logit before any edit. A positive logit grows, a negative one moves toward 0. PAI and imbalanced attention.
 */
import { DataType } from '../../onnx/index.ts';
import { at, build } from '../reference/tensor.ts';
import { defineEdit, type MapBlock } from './edit.ts';

/** Rows of a call that take part: all, or the last one only, which predicts the next token. */
type Gain = { readonly rows: 'all' | 'last' };

/** Logits raised by a share of their own size: s'_t = s_t + b_t |raw_t|. */
export const logitGain = defineEdit<Gain>({
  kind: 'logit-gain',
  stage: 'logits',
  reference: 'PAI, arXiv 2407.21771; PAINT, arXiv 2501.12206',
  knobs: () => [
    { name: 'b', axes: ['B', 'H|1', 'T|1'], neutral: 0, doc: 'Share of its own size a logit is raised by.' },
  ],
  solve({ rows }, call, logits) {
    const [b, S] = [call.value('b'), logits.shape[2]!];
    const value = build(logits.shape, (...i) => {
      const gain = rows === 'all' || i[2] === S - 1 ? at(b, i[0]!, i[1]!, i[3]!) : 0;
      return at(logits, ...i) + gain * Math.abs(at(call.raw, ...i));
    });
    return { value };
  },
  random: ({ B, H, T, tensor, uniform }) => ({
    options: { rows: uniform() < 0.5 ? 'all' : 'last' },
    values: { b: tensor([B, H, T]) },
  }),
  logits({ rows }, call) {
    const gains = call.emit('Unsqueeze', [call.overKeys('b', 1, 1), call.emit.ints(2)]); // [B|1, H|1, 1, T]
    const gainOf = (block: MapBlock) => {
      const gain = block.cutKeys(gains, 3);
      return rows === 'all' ? gain : block.emit('Mul', [gain, lastRow(block, call.T)]);
    };
    return (block, logits, raw) => {
      const { emit } = block;
      return emit('Add', [logits, emit('Mul', [emit('Abs', [raw]), gainOf(block)])]);
    };
  },
});

/** 1 in the call's last row: float32 [1, 1, rows, 1]. */
function lastRow(block: MapBlock, T: string): string {
  const { emit } = block;
  const last = emit('Equal', [block.positions(), emit('Sub', [T, emit.ints(1)])]);
  return emit('Unsqueeze', [emit('Cast', [last], { to: DataType.FLOAT }), emit.ints(0, 1, 3)]);
}
