/** Layouts of heads. */
import { primitive } from '../../../onnx/emitter.ts';

/** [B, S, N·D] → [B, N, S, D]. */
export const splitHeads = primitive(
  {
    name: 'SplitHeads',
    inputs: ['x', 'N'],
    outputs: ['heads'],
    doc: 'x [B, S, N·D], N [1] int64 → heads [B, N, S, D].',
  },
  (emit) => {
    const shape = emit('Concat', [emit.ints(0, 0), 'N', emit.ints(-1)], { axis: 0 });
    emit.as('heads', 'Transpose', [emit('Reshape', ['x', shape])], { perm: [0, 2, 1, 3] });
  },
);

/** [B, N, S, D] → [B, S, N·D]. */
export const joinHeads = primitive(
  {
    name: 'JoinHeads',
    inputs: ['heads'],
    outputs: ['x'],
    doc: 'heads [B, N, S, D] → x [B, S, N·D].',
  },
  (emit) => {
    const rows = emit('Transpose', ['heads'], { perm: [0, 2, 1, 3] });
    emit.as('x', 'Reshape', [rows, emit.ints(0, 0, -1)]);
  },
);
