/**
 * Head scale: the outputs of chosen heads times a factor, before the output projection,
 *
 *   z_h ← s_h z_h,
 *
 * at every row, prefill and decode alike. The primitive of VHR (He et al., arXiv 2412.13949), with heads given.
 */
import { z } from 'zod';
import { defineIntervention } from './define.ts';
import { scaleOutputs } from './head-factors.ts';
import { headKnob, headValues } from './head-knob.ts';
import { headSet, headTable, layerSet } from './heads.ts';

const KNOB = 'attune.head_scale.factor';
const factor = z.number().finite();

export const headScale = defineIntervention({
  name: 'head-scale',
  stage: 'heads',
  needs: ['self-attention'],
  reference: 'arXiv 2412.13949',
  schema: z.strictObject({
    scale: z
      .union([factor, z.array(factor).min(1), z.array(z.array(factor).min(1)).min(1)])
      .describe('s: one number, s[head], or s[layer][head]; 1 leaves a head alone, exactly'),
    layers: layerSet.default('all'),
    heads: headSet.default('all'),
  }),
  plan: (model) => ({ knobs: [headKnob(KNOB, model, 1)], edits: scaleOutputs(model, KNOB) }),
  knobs: ({ scale, layers, heads }, model) => ({
    [KNOB]: headValues(headTable(model, scale, { layers, heads, neutral: 1 })),
  }),
});
