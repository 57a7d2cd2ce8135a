/**
 * ACT, attention calibration (Yu et al., arXiv 2406.15765): in chosen heads, keys that attract too much attention on
 * average, never the first token, keep the share β of their weight; the other keys of a row get the rest in proportion.
 *
 *   score_t = Σ_s P_st / (rows that see t)        sink: score_t > τ, or > α / (number of keys)
 *   P'_st = β P_st on sinks,  P_st (1 + (1 − β) P_S / P_N) elsewhere
 *
 * with P_S and P_N a row's weight on sinks and on the rest. Sinks are found per input, layer and head from the map before
 * calibration. Rows of a prompt are calibrated with sinks that later rows helped to find: ACT is not causal in a prompt.
 */
import { z } from 'zod';
import { AttuneError } from '../errors.ts';
import type { EditContext, ExpandEdit, Knob } from '../hooks/compile/index.ts';
import type { ModelFacts } from '../hooks/model/index.ts';
import { sinkCalibration } from '../kernels/edits/sink-calibration/index.ts';
import { DataType } from '../onnx/index.ts';
import { defineIntervention, type InterventionFactory } from './define.ts';
import { headKnob, headValues, layerValues } from './head-knob.ts';
import { type HeadSet, headSet, headTable, type LayerSet, layerSet, type PerHead } from './heads.ts';

const BETA = 'attune.act.beta';
const TAU = 'attune.act.tau';
const ALPHA = 'attune.act.alpha';

const share = z.number().min(0).max(1);
const statistics = ['running', 'frozen', 'row'] as const;
const exclude = ['initial', 'first_detected'] as const;

/** Parameters of act. */
export interface ActParameters {
  /** β from 0 to 1: one number, β[head], or β[layer][head]; 1 leaves a head alone, exactly. Default 0.4. */
  beta?: PerHead | undefined;
  /** layers of the decoder: 'all', or indices from 0. Default 'all'. */
  layers?: LayerSet | undefined;
  /** query heads to calibrate; the paper searches them once per model. */
  heads: HeadSet;
  /** a sink has a mean weight above tau, or above alpha times the uniform weight. Default { alpha: 5 }. */
  threshold?: { tau: number } | { alpha: number } | undefined;
  /**
   * while decoding: running, scores over all rows so far; frozen, the sinks of the first call stay; row,
   * each row by itself. Default 'running'.
   */
  statistics?: 'running' | 'frozen' | 'row' | undefined;
  /**
   * key that is no sink: the first real one, or the first one found, as in the released code. Default
   * 'initial'.
   */
  exclude?: 'initial' | 'first_detected' | undefined;
}

/**
 * ACT, attention calibration: in the heads that are named, keys that attract too much attention on average (sinks, never the first
 * token) keep the share β of their weight; the other keys of a row get what is freed, in proportion to what they have.
 *
 *     score_t = Σ_s P_st / (rows that see t)        sink: score_t > τ, or > α / (number of keys)
 *     P'_st = β P_st on sinks,   P_st (1 + (1 − β) P_S / P_N) elsewhere
 *
 * P is a head's map [S, T]; P_S and P_N are a row's weight on sinks and on the rest. Sinks are found for each input, layer and head.
 * β = 1 is neutral, bit for bit. Under 'running' and 'frozen' a prompt is not causal: docs/interventions.md.
 * Source: Yu et al., arXiv 2406.15765; code GATECH-EIC/ACT.
 *
 * @example
 * ```ts
 * const calibrated = model.with([act({ heads: [[2, 1], [3, 0]], beta: 0.4 })]);
 * const output = await calibrated.generate({ ...inputs, max_new_tokens: 8 });
 * console.log(tokenizer.batch_decode(output, { skip_special_tokens: true }));
 * ```
 * @throws AttuneError SPEC_INVALID; when a model uses it, LAYER_OUT_OF_RANGE, HEAD_OUT_OF_RANGE, HEADS_MISMATCH, INTERVENTION_REFUSED; when it runs,
 *   STATE_MISMATCH for a cache that was made without it
 */
export const act: InterventionFactory<ActParameters, Required<ActParameters>> = defineIntervention({
  name: 'act',
  stage: 'probabilities',
  needs: ['self-attention'],
  reference: 'arXiv 2406.15765; code GATECH-EIC/ACT',
  schema: z.strictObject({
    beta: z
      .union([share, z.array(share).min(1), z.array(z.array(share).min(1)).min(1)])
      .default(0.4)
      .describe('β from 0 to 1: one number, β[head], or β[layer][head]; 1 leaves a head alone, exactly'),
    layers: layerSet.default('all'),
    heads: headSet.describe('query heads to calibrate; the paper searches them once per model'),
    threshold: z
      .union([
        z.strictObject({ tau: z.number().nonnegative().finite() }),
        z.strictObject({ alpha: z.number().nonnegative().finite() }),
      ])
      .default({ alpha: 5 })
      .describe('a sink has a mean weight above tau, or above alpha times the uniform weight'),
    statistics: z
      .enum(statistics)
      .default('running')
      .describe(
        'while decoding: running, scores over all rows so far; frozen, the sinks of the first call stay; row, each row by itself',
      ),
    exclude: z
      .enum(exclude)
      .default('initial')
      .describe('key that is no sink: the first real one, or the first one found, as in the released code'),
  }),
  variant: (spec): Variant => ({
    statistics: spec?.statistics ?? 'running',
    exclude: spec?.exclude ?? 'initial',
  }),
  plan: (model, variant) => {
    refuseForm(model, variant);
    return {
      knobs: [headKnob(BETA, model, 1), numberKnob(TAU), numberKnob(ALPHA)],
      edits: model.decoder.map(
        (site, layer): ExpandEdit => ({
          kind: 'expand',
          site,
          edits: [sinkCalibration.with({ stats: variant.statistics, exclude: variant.exclude })],
          values: (context) => ({
            beta: layerValues(context, BETA, layer),
            tau: TAU,
            alpha: ALPHA,
            first: context.firstToken(),
          }),
          active: (context) => calibrates(context, layer),
        }),
      ),
    };
  },
  knobs: ({ beta, layers, heads, threshold }, model) => ({
    [BETA]: headValues(headTable(model, beta, { layers, heads, neutral: 1 })),
    [TAU]: oneNumber('tau' in threshold ? threshold.tau : 0),
    [ALPHA]: oneNumber('alpha' in threshold ? threshold.alpha : 0),
  }),
});

type Variant = {
  readonly statistics: (typeof statistics)[number];
  readonly exclude: (typeof exclude)[number];
};

/** @throws AttuneError INTERVENTION_REFUSED */
function refuseForm({ decoder }: ModelFacts, variant: Variant): void {
  const refuse = (found: string, hint: string) =>
    new AttuneError('INTERVENTION_REFUSED', {
      at: `act (${variant.statistics} ${variant.exclude})`,
      found,
      hint,
    });
  const open = decoder.find(({ causal }) => causal !== true);
  if (open) {
    throw refuse(
      `layer ${open.layer}, whose attention is not causal: ${open.causalBy}`,
      'Scores of keys are means over the rows that come after them: ACT is for decoders.',
    );
  }
  const nested = decoder.find(({ scope }) => scope.length > 0);
  if (nested && variant.statistics !== 'row') {
    throw refuse(
      `layer ${nested.layer} in a branch of an If, which statistics cannot leave`,
      "Use statistics: 'row', or an export that is no merged decoder.",
    );
  }
}

/** float32 [settings, 1]. */
function numberKnob(name: string): Knob {
  return { name, elemType: DataType.FLOAT, shape: [`${name}:settings`, 1], neutral: oneNumber(0) };
}

function oneNumber(value: number) {
  return { dims: [1, 1], data: Float32Array.of(value) };
}

/** Whether β is below 1 for any head of the layer, in any setting. */
function calibrates({ emit, once }: EditContext, layer: number): string {
  const layers = once(`${BETA} active`, () => {
    const freed = emit.op('Sub', [emit.scalar(1), BETA], 'freed'); // [settings, L, H|1]
    const total = emit.op('ReduceSum', [freed, emit.ints(0, 2)], 'total', { keepdims: 0 });
    return emit.op('Greater', [total, emit.scalar(0)], 'active');
  });
  return emit.op('Gather', [layers, emit.int(layer)], 'active', { axis: 0 });
}
