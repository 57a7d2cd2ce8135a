/**
 * A factor per head on its output, before the output projection:
 *
 *   z'_h = a_h z_h
 *
 * a = 1 leaves a head alone, a = 0 knocks it out. VHR chooses the heads by what they make of the image.
 */
import { primitive } from '../../onnx/emitter.ts';
import { at, build } from '../reference/tensor.ts';
import { defineEdit } from './edit.ts';

/** A factor per head on its output: z'_h = a_h z_h. */
export const headScale = defineEdit({
  kind: 'head-scale',
  stage: 'outputs',
  reference: 'VHR, arXiv 2412.13949',
  knobs: () => [{ name: 'head_scale', axes: ['B', 'H'], neutral: 1, doc: 'Factor on a head’s output.' }],
  solve: (_options, call, z) => {
    const a = call.value('head_scale');
    return { value: build(z.shape, (...i) => at(a, i[0]!, i[1]!) * at(z, ...i)) };
  },
  random: ({ B, H, tensor, uniform }) => ({
    options: {},
    values: { head_scale: tensor([B, H], () => 2 * uniform()) },
  }),
  outputs: (_options, emit, z, factor, layout) => {
    if (layout === 'BNSD') {
      return emit('Mul', [z, emit('Unsqueeze', [factor('head_scale'), emit.ints(2, 3)])]);
    }
    return emit.call(headScaleFlat, z, factor('head_scale'))[0]!;
  },
});

const headScaleFlat = primitive(
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
