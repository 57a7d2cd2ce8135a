/**
 * TempScale (Zhou et al., arXiv 2410.24200): a temperature on the attention logits,
 *
 *   p = softmax((q·k / √d) / τ + mask),
 *
 * τ < 1 sharpens. Dividing the queries by τ divides the logits, so every operator can stay; what is added to the
 * logits (masks, the bias of ZeroTuning) is not divided.
 */
import { z } from 'zod';
import { defineIntervention } from './define.ts';
import { logitsBeyondQueries, refuse, scaleQueries } from './head-factors.ts';
import { headKnob, headValues } from './head-knob.ts';
import { headSet, headTable, layerSet } from './heads.ts';

const KNOB = 'attune.temp_scale.inverse_temperature';
const temperature = z.number().positive().finite();

export const tempScale = defineIntervention({
  name: 'temp-scale',
  stage: 'logits',
  needs: ['self-attention'],
  reference: 'arXiv 2410.24200',
  schema: z.strictObject({
    temperature: z
      .union([temperature, z.array(temperature).min(1), z.array(z.array(temperature).min(1)).min(1)])
      .describe('τ > 0: one number, τ[head], or τ[layer][head]; 1 leaves a head alone, exactly'),
    layers: layerSet.default('all'),
    heads: headSet.default('all'),
  }),
  plan: (model) => {
    const capped = model.decoder.find(({ softcap }) => softcap !== undefined);
    refuse('temp-scale', logitsBeyondQueries(model));
    refuse(
      'temp-scale',
      capped && `layer ${capped.layer} caps its logits after queries and keys are multiplied`,
    );
    return { knobs: [headKnob(KNOB, model, 1)], edits: scaleQueries(model.decoder, model, KNOB) };
  },
  knobs: ({ temperature, layers, heads }, model) => {
    const table = headTable(model, temperature, { layers, heads, neutral: 1 });
    return { [KNOB]: headValues(table.map((row) => row.map((tau) => 1 / tau))) };
  },
});
