/**
 * ZeroTuning (Han et al., arXiv 2505.11739): scale the attention to the first real token by γ, per layer and head,
 * and renormalise.
 *
 *   P'_0 = γ P_0 / D,  P'_t = P_t / D,  D = 1 + (γ − 1) P_0
 *
 * which is softmax with ln γ added to the first token's logit, so every fused operator can stay. As in the paper's
 * code a span of tokens may take the first token's place.
 */
import { z } from 'zod';
import type { EditContext, Knob } from '../hooks/compile/index.ts';
import { DataType } from '../onnx/index.ts';
import type { Site } from '../sites/site.ts';
import { defineIntervention, type InterventionFactory } from './define.ts';
import { headKnob, headValues, layerValues } from './head-knob.ts';
import { type HeadSet, headSet, headTable, type LayerSet, layerSet, type PerHead } from './heads.ts';
import { keyLength } from './key-length.ts';

const positive = z.number().positive().finite();
const LOG_GAMMA = 'attune.zerotuning.log_gamma';
const TOKENS = 'attune.zerotuning.tokens';

/** Parameters of zeroTuning. */
export interface ZeroTuningParameters {
  /** γ > 0: one number, γ[head], or γ[layer][head]; 1 leaves a head alone, exactly. */
  gamma: PerHead;
  /** layers of the decoder: 'all', or indices from 0. Default 'all'. */
  layers?: LayerSet | undefined;
  /** query heads: 'all', indices in every chosen layer, or [layer, head] pairs, from 0. Default 'all'. */
  heads?: HeadSet | undefined;
  /**
   * [start, end): the tokens whose weight is scaled, counted from the first real token of a row. Default [0,
   * 1].
   */
  tokens?: [start: number, end: number] | undefined;
}

/**
 * ZeroTuning: multiplies the attention that every row pays to the first real token by γ and renormalises the row.
 *
 *     P'_0 = γ P_0 / D,   P'_t = P_t / D,   D = 1 + (γ − 1) P_0
 *
 * P is one head's row over the keys, [T] of [B, H, S, T]. Done by adding ln γ to that key's logit, in the prompt and in every decoded row,
 * so fused operators stay. γ = 1 is neutral, bit for bit; γ > 1 looks at the first token more, γ < 1 less.
 * Source: Han et al., arXiv 2505.11739, section 3.
 *
 * @example
 * ```ts
 * const tuned = model.with([zeroTuning({ gamma: 1.4, heads: [[2, 1], [3, 0]] })]);
 * const output = await tuned.generate({ ...inputs, max_new_tokens: 8 });
 * console.log(tokenizer.batch_decode(output, { skip_special_tokens: true }));
 * ```
 * @throws AttuneError SPEC_INVALID; when a model uses it, LAYER_OUT_OF_RANGE, HEAD_OUT_OF_RANGE, HEADS_MISMATCH, INTERVENTION_REFUSED
 */
export const zeroTuning: InterventionFactory<
  ZeroTuningParameters,
  Required<ZeroTuningParameters>
> = defineIntervention({
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
    tokens: z
      .tuple([z.int().nonnegative(), z.int().positive()])
      .refine(([start, end]) => start < end, 'start must be before end')
      .default([0, 1])
      .describe(
        '[start, end): the tokens whose weight is scaled, counted from the first real token of a row',
      ),
  }),
  plan: (model) => ({
    knobs: [headKnob(LOG_GAMMA, model, 0), spanKnob],
    edits: model.decoder.map((site, layer) => ({
      kind: 'bias' as const,
      site,
      build: (context: EditContext, here: Site) => spanBias(context, here, layer, model.decoder.length),
      multipleOf: LOG_GAMMA,
    })),
  }),
  knobs: ({ gamma, layers, heads, tokens }, model) => {
    const table = headTable(model, gamma, { layers, heads, neutral: 1 });
    return {
      [LOG_GAMMA]: headValues(table.map((row) => row.map(Math.log))),
      [TOKENS]: { dims: [1, 2], data: BigInt64Array.from(tokens, BigInt) },
    };
  },
});

/** int64 [settings, 2]: start and end of the span, from the first real token. */
const spanKnob: Knob = {
  name: TOKENS,
  elemType: DataType.INT64,
  shape: [`${TOKENS}:settings`, 2],
  neutral: { dims: [1, 2], data: BigInt64Array.of(0n, 1n) },
};

/** ln γ at the columns of the span, 0 elsewhere: [B,H|1,1,T]. */
function spanBias(context: EditContext, site: Site, layer: number, layers: number): string {
  const { emit, attentionMask, once } = context;
  if (attentionMask === undefined) {
    const logGamma = emit.reshape(layerValues(context, LOG_GAMMA, layer), [0, -1, 1, 1]);
    return emit.op('Mul', [logGamma, inSpan(context, keyLength(emit, site))], 'span_bias');
  }
  // A decoded token pays for every small node of every layer: two nodes make the biases of all.
  const all = once(`${LOG_GAMMA} ${attentionMask}`, () => {
    const logGamma = emit.reshape(LOG_GAMMA, [0, -1, 1, 1]); // [settings, L·H|L, 1, 1]
    const biases = emit.op('Mul', [logGamma, inSpan(context, emit.dim(attentionMask, 1))], 'span_biases');
    return emit.split(biases, 1, layers);
  });
  return all[layer]!;
}

/** 1 at the columns of the span, 0 elsewhere: float32 [B,1,1,T]. @param T int64 [1] */
function inSpan({ emit, firstToken }: EditContext, T: string): string {
  const first = emit.reshape(firstToken(), [-1, 1]);
  const place = emit.op('Sub', [emit.range(T), first], 'place'); // [B, T]
  // Before the end and not before the start: the start comes first.
  const edges = emit.split(TOKENS, 1, 2);
  const [early, reached] = edges.map((edge) => emit.op('Less', [place, edge], 'before'));
  const inside = emit.op('Xor', [early!, reached!], 'in_span');
  return emit.reshape(emit.cast(inside, DataType.FLOAT), [0, 1, 1, -1]);
}
