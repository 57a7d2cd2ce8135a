/**
 * Emphasis: spans of the prompt get more of the attention of chosen heads, in every row.
 *
 *   pasta        P'_t ∝ α P_t on keys of the prompt outside the spans       (Zhang et al., arXiv 2311.02262)
 *   instaboost   P'_t ∝ M P_t on keys in the spans                          (Guardieiro et al., arXiv 2506.13734)
 *   spotlight    P'_t ∝ max(ψ / c, 1) P_t on keys in the spans              (Venkateswaran and Contractor, arXiv 2505.12025)
 *
 * renormalised, c being what the row's spans get, a mean over the layer's heads. ln α and ln M are added to the logits, so that a
 * fused operator stays; a share needs the probabilities. Generated tokens keep their logits in all of them.
 */
import { z } from 'zod';
import type { Edit, EditContext, Knob, KnobValue } from '../hooks/compile/index.ts';
import type { ModelFacts } from '../hooks/model/index.ts';
import { targetShare } from '../kernels/edits/target-share.ts';
import { DataType } from '../onnx/index.ts';
import type { Site } from '../sites/site.ts';
import { defineIntervention, type Filled, type InterventionFactory } from './define.ts';
import { headKnob, headValues, layerValues } from './head-knob.ts';
import { type HeadSet, headSet, headTable, type LayerSet, layerSet } from './heads.ts';
import { keyLength } from './key-length.ts';
import { markedPrompt, SPANS, type Spans, spansSchema } from './spans.ts';

const LOG_FACTOR = 'attune.emphasis.log_factor';
const KEYS = 'attune.emphasis.keys';

const SHARE = 'attune.emphasis.share';

/** `inside`: edits probabilities, which the graph has to show. */
type Variant = { readonly inside: boolean };

const factor = z.number().positive();

const schema = z
  .strictObject({
    spans: spansSchema.describe(SPANS),
    method: z
      .enum(['pasta', 'instaboost', 'spotlight'])
      .default('pasta')
      .describe(
        'pasta: less weight for the rest of the prompt; instaboost: more for the spans; spotlight: a share for them',
      ),
    alpha: factor.optional().describe('α of pasta, default 0.01; 1 is neutral'),
    multiplier: factor.optional().describe('M of instaboost, default 3; 1 is neutral'),
    share: z.number().min(0).max(1).optional().describe('ψ of spotlight, default 0.3; 0 is neutral'),
    layers: layerSet.default('all'),
    heads: headSet.default('all').describe('pasta chooses heads by profiling; instaboost takes all'),
  })
  .superRefine((spec, context) => {
    for (const [name, method] of Object.entries(METHOD_OF)) {
      if (spec[name as keyof typeof METHOD_OF] === undefined || spec.method === method) continue;
      context.addIssue({ code: 'custom', path: [name], message: `${spec.method} has none` });
    }
  });

/** Whose parameter it is. */
const METHOD_OF = { alpha: 'pasta', multiplier: 'instaboost', share: 'spotlight' } as const;

/** Parameters of emphasis. */
export interface EmphasisParameters {
  /**
   * [start, end) of each, from the first real token; or a list of them for each row; or { find: token
   * sequences }, everywhere they occur.
   */
  spans: Spans;
  /**
   * pasta: less weight for the rest of the prompt; instaboost: more for the spans; spotlight: a share for
   * them. Default 'pasta'.
   */
  method?: 'pasta' | 'instaboost' | 'spotlight' | undefined;
  /** α of pasta, default 0.01; 1 is neutral. */
  alpha?: number | undefined;
  /** M of instaboost, default 3; 1 is neutral. */
  multiplier?: number | undefined;
  /** ψ of spotlight, default 0.3; 0 is neutral. */
  share?: number | undefined;
  /** layers of the decoder: 'all', or indices from 0. Default 'all'. */
  layers?: LayerSet | undefined;
  /** pasta chooses heads by profiling; instaboost takes all. Default 'all'. */
  heads?: HeadSet | undefined;
}

/**
 * Gives spans of the prompt more of the attention of chosen heads, in every row.
 *
 *     pasta        P'_t ∝ α P_t on keys of the prompt outside the spans      α = 0.01, 1 is neutral
 *     instaboost   P'_t ∝ M P_t on keys in the spans                         M = 3, 1 is neutral
 *     spotlight    P'_t ∝ max(ψ / c, 1) P_t on keys in the spans             ψ = 0.3, 0 is neutral
 *
 * renormalised over the keys, P being [B, H, S, T] and c what a row's spans get. Pasta and instaboost add to the logits and leave fused
 * operators in place; spotlight needs the probabilities. Generated tokens keep their logits.
 * Source: Zhang et al., arXiv 2311.02262; Guardieiro et al., arXiv 2506.13734; Venkateswaran and Contractor, arXiv 2505.12025.
 *
 * @example
 * ```ts
 * const { spans, ...prompt } = markedText(tokenizer, [passages[0], { mark: question }]);
 * const output = await model.generate({ ...prompt, max_new_tokens: 8, interventions: [emphasis({ spans })] });
 * console.log(tokenizer.batch_decode(output, { skip_special_tokens: true }));
 * ```
 * @throws AttuneError SPEC_INVALID; when a model uses it, LAYER_OUT_OF_RANGE, HEAD_OUT_OF_RANGE, INTERVENTION_CONFLICT; when it runs,
 *   SPANS_INVALID, ROWS_MISMATCH, PROMPT_UNKNOWN
 */
export const emphasis: InterventionFactory<
  EmphasisParameters,
  Filled<EmphasisParameters, 'method' | 'layers' | 'heads'>
> = defineIntervention({
  name: 'emphasis',
  stage: 'logits',
  needs: ['self-attention'],
  conflicts: {
    pine: 'Spans are places in the prompt; with PINE every query has its own order of documents.',
  },
  reference: 'arXiv 2311.02262, 2506.13734, 2505.12025; code QingruZhang/PASTA, BrachioLab/InstABoost',
  schema,
  variant: (spec) => ({ inside: spec?.method === 'spotlight' }),
  plan: (model, { inside }: Variant) => ({
    knobs: [inside ? headKnob(SHARE, model, 0) : headKnob(LOG_FACTOR, model, 0), keysKnob],
    edits: model.decoder.map((site, layer) =>
      inside ? shareEdit(site, layer) : weightEdit(site, layer, model),
    ),
  }),
  knobs: (spec, model): Record<string, KnobValue> => {
    const { method, alpha = 0.01, multiplier = 3, share = 0.3, layers, heads } = spec;
    if (method === 'spotlight')
      return { [SHARE]: headValues(headTable(model, share, { layers, heads, neutral: 0 })) };
    const table = headTable(model, method === 'pasta' ? alpha : multiplier, { layers, heads, neutral: 1 });
    return { [LOG_FACTOR]: headValues(table.map((row) => row.map(Math.log))) };
  },
  feed: ({ spans, method }, _model, request, feeds): Record<string, KnobValue> => {
    const { rows, length, first, marks } = markedPrompt('emphasis', spans, request, feeds);
    const [, S = 0] = (feeds.input_ids ?? feeds.inputs_embeds)?.dims ?? [];
    const T = request.past + S;
    const data = new Float32Array(rows * T);
    for (let b = 0; b < rows; b++) {
      const row = marks.subarray(b * length, (b + 1) * length);
      if (method === 'pasta' && row.includes(1)) {
        for (let t = first[b]!; t < length; t++) data[b * T + t] = 1 - row[t]!;
      } else if (method !== 'pasta') data.set(row, b * T);
    }
    return { [KEYS]: { dims: [rows, T], data } };
  },
});

/** float32 [B|1, T|1]: 1 at the keys whose weight changes. */
const keysKnob: Knob = {
  name: KEYS,
  elemType: DataType.FLOAT,
  shape: [`${KEYS}:rows`, `${KEYS}:keys`],
  neutral: { dims: [1, 1], data: new Float32Array(1) },
};

const weightEdit = (site: Site, layer: number, { decoder }: ModelFacts): Edit => ({
  kind: 'bias',
  site,
  build: (context, here) => biases(context, here, decoder.length)[layer]!,
  multipleOf: LOG_FACTOR,
});

const shareEdit = (site: Site, layer: number): Edit => ({
  kind: 'expand',
  site,
  edits: [targetShare.with()],
  values: (context) => ({ keys: KEYS, share: layerValues(context, SHARE, layer) }),
  active: (context) => shares(context, layer),
});

/** Whether the layer has a share to give, and the prompt spans to give it to. */
function shares({ emit, once }: EditContext, layer: number): string {
  const some = (x: string, ...axes: number[]) => {
    const total = emit.op('ReduceSum', [x, emit.ints(...axes)], 'total', { keepdims: 0 });
    return emit.op('Greater', [total, emit.scalar(0)], 'some');
  };
  const layers = once(`${SHARE} active`, () =>
    emit.op('And', [some(SHARE, 0, 2), some(KEYS, 0, 1)], 'active'),
  );
  return emit.op('Gather', [layers, emit.int(layer)], 'active', { axis: 0 });
}

/** Of each layer [B, H|1, 1, T]: one product for all, since a decoded token pays for every small node. */
function biases({ emit, once, attentionMask }: EditContext, site: Site, layers: number): readonly string[] {
  const T = attentionMask === undefined ? keyLength(emit, site) : emit.dim(attentionMask, 1);
  return once(`emphasis ${T}`, () => {
    const shape = emit.op('Concat', [emit.ints(1), T], 'shape', { axis: 0 });
    const all = emit.op('Expand', [KEYS, shape], 'keys'); // [B, T]: operators want a bias over every key
    const logs = emit.reshape(LOG_FACTOR, [0, -1, 1, 1]); // [settings, L·H | L, 1, 1]
    const keys = emit.op('Unsqueeze', [all, emit.ints(1, 2)], 'keys'); // [B, 1, 1, T]
    return emit.split(emit.op('Mul', [logs, keys], 'emphasis'), 1, layers);
  });
}
