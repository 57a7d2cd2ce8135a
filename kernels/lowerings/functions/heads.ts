/** Functions on heads: layout, factor per head. */
import { primitive } from '../../../onnx/emitter.ts';

/** z · s per head on the flat layout fused operators and output projections use. */
export const headScaleFlat = primitive(
  {
    name: 'HeadScale',
    inputs: ['z', 'scale'],
    outputs: ['scaled'],
    doc: 'z [B, S, H·E], scale [B|1, H] → z with each head multiplied by its factor.',
  },
  (emit) => {
    const heads = emit.dim('scale', 1);
    const width = emit('Div', [emit.dim('z', 2), heads]);
    const shape = emit('Concat', [emit.ints(1, 1), width], { axis: 0 });
    const repeated = emit('Expand', [emit('Unsqueeze', ['scale', emit.ints(2)]), shape]); // [B|1, H, E]
    const factor = emit('Reshape', [repeated, emit.ints(0, 1, -1)]); // [B|1, 1, H·E]
    emit.as('scaled', 'Mul', ['z', factor]);
  },
);

export const headScale = primitive(
  {
    name: 'HeadScale4D',
    inputs: ['z', 'scale'],
    outputs: ['scaled'],
    doc: 'z [B, H, S, E], scale [B|1, H] → z with each head multiplied by its factor.',
  },
  (emit) => {
    emit.as('scaled', 'Mul', ['z', emit('Unsqueeze', ['scale', emit.ints(2, 3)])]);
  },
);

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
