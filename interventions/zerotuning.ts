/**
 * ZeroTuning (Han et al., arXiv 2505.11739): scale the attention to the first real token by γ, per layer and head,
 * and renormalise.
 *
 *   P'_0 = γ P_0 / D,  P'_t = P_t / D,  D = 1 + (γ − 1) P_0
 *
 * which is softmax with ln γ added to the first token's logit, so every fused operator can stay.
 */
import { z } from 'zod';
import type { EditContext, Knob } from '../hooks/compile/index.ts';
import type { Site } from '../hooks/sites/site.ts';
import { defineIntervention } from './define.ts';
import { headSet, headTable, layerSet } from './heads.ts';

const positive = z.number().positive().finite();
const KNOB = 'attune.zerotuning.log_gamma';

export const zeroTuning = defineIntervention({
  name: 'zerotuning',
  stage: 'logits',
  needs: ['self-attention'],
  reference: 'arXiv 2505.11739, section 3',
  schema: z.strictObject({
    gamma: z
      .union([positive, z.array(positive).min(1), z.array(z.array(positive).min(1)).min(1)])
      .describe('γ > 0: one number, γ[head], or γ[layer][head]; 1 leaves a head alone, exactly'),
    layers: layerSet.default('all'),
    heads: headSet.default('all'),
  }),
  plan: (model) => ({
    knobs: [logGamma(model.decoder.length)],
    edits: model.decoder.map((site, layer) => ({
      kind: 'bias' as const,
      site,
      build: (context: EditContext) => firstTokenBias(context, site, layer),
    })),
  }),
  knobs: ({ gamma, layers, heads }, model) => {
    const table = headTable(model, gamma, { layers, heads, neutral: 1 });
    const rows = table.map((row) => (row.every((value) => value === row[0]) ? row.slice(0, 1) : row));
    // One number per layer stays one number: the bias is then broadcast over heads, which costs less at prefill.
    const uniform = rows.every((row) => row.length === 1);
    const logs = (uniform ? rows : table).flat().map(Math.log);
    return {
      [KNOB]: { dims: [1, table.length, uniform ? 1 : table[0]!.length], data: Float32Array.from(logs) },
    };
  },
});

/** [settings, layers, heads]: one setting for all rows or one per row; one head for all heads of the layer or H. */
function logGamma(layers: number): Knob {
  return {
    name: KNOB,
    elemType: 1,
    shape: [`${KNOB}:settings`, layers, `${KNOB}:heads`],
    neutral: { dims: [1, layers, 1], data: new Float32Array(layers) },
  };
}

/** ln γ at the first real token's column, 0 elsewhere: [B,H|1,1,T]. */
function firstTokenBias(
  { emit, attentionMask, firstToken, once }: EditContext,
  site: Site,
  layer: number,
): string {
  const isFirst = once(`first-column ${attentionMask ?? site.index}`, () => {
    const T = attentionMask === undefined ? keyLength(emit, site) : emit.length(attentionMask, 1);
    const column = emit.reshape(emit.range(T), [1, 1, 1, -1]);
    const first = emit.reshape(firstToken(), [-1, 1, 1, 1]);
    return emit.cast(emit.op('Equal', [column, first], 'is_first'), 1);
  });
  const row = emit.op('Gather', [KNOB, emit.int(layer)], 'log_gamma', { axis: 1 });
  return emit.op('Mul', [emit.reshape(row, [0, -1, 1, 1]), isFirst], 'first_bias');
}

/** int64 [1]: T of a site in a model without an attention mask. */
function keyLength(emit: EditContext['emit'], site: Site): string {
  const scores = site.scores;
  if (scores) return emit.length(scores.value, scores.layout === 'BHST' ? 3 : 2);
  const keys = site.k.operand ?? site.k.proj ?? site.q.proj;
  return emit.length(keys!.value, keys!.layout === 'BHSD' ? 2 : 1);
}
