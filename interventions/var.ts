/**
 * VAR, visual attention redistribution (Kang et al., arXiv 2503.03321): in rows of text, and in heads that look at the
 * image, every sink gives the share p of its weight to the visual tokens that are no sinks, in proportion.
 *
 *   φ(x) = max over the model's sink dimensions of |x_d| / √(mean x² + 10⁻⁶)     sink: φ ≥ τ, x entering the layer
 *   selected: m_V ≥ m_min and m_A / m_V ≥ ρ
 *   P'_t = (1 − p) P_t on sinks,  P_t (1 + p m_S / m_A) on visual non-sinks,  P_t elsewhere
 *
 * with m_V, m_A, m_S a row's weight on visual tokens, on visual non-sinks, on all sinks (of text, too). Sinks are found
 * in the prompt, once per layer for all heads, and kept for decoding; generated tokens are never sinks.
 */
import { z } from 'zod';
import { AttuneError } from '../errors.ts';
import type { EditContext, ExpandEdit, Knob, KnobValue } from '../hooks/compile/index.ts';
import type { ModelFacts } from '../hooks/model/index.ts';
import { sinkRedistribution } from '../kernels/edits/sink-redistribution/index.ts';
import { DataType } from '../onnx/index.ts';
import type { HookPoint } from '../sites/points/index.ts';
import { defineIntervention, type InterventionFactory } from './define.ts';
import { headKnob, headValues, layerValues } from './head-knob.ts';
import { headTable, type LayerSet, layerSet } from './heads.ts';
import { anyImage, imageFeed, imageKeys, imageKnob, refuseWithoutImages } from './image-tokens.ts';
import { MOST_DIMENSIONS, SINK_DIMENSIONS, type SinkPreset, sinkPresets } from './sink-dimensions.ts';
import { keyGroups } from './sink-tokens.ts';

const SHARE = 'attune.var.p';
const RHO = 'attune.var.rho';
const TAU = 'attune.var.tau';
const LEAST = 'attune.var.min_visual';
const DIMENSIONS = 'attune.var.dimensions';

const share = z.number().min(0).max(1);
const semantics = ['paper', 'code'] as const;
type Semantics = (typeof semantics)[number];

/** Parameters of visualRedistribution. */
export interface VisualRedistributionParameters {
  /** hidden dimensions with massive activations: found by calibration, or the name of a known model. */
  dimensions: SinkPreset | number[];
  /** a token is a sink where φ reaches τ; φ never exceeds √D. Default 20. */
  tau?: number | undefined;
  /** smallest share of the visual weight that is not on sinks. Default 0.5. */
  rho?: number | undefined;
  /** share of its weight a sink gives away; 0 is neutral. Default 0.6. */
  p?: number | undefined;
  /** smallest weight a row must have on the image. Default 0.2. */
  minVisual?: number | undefined;
  /** 'auto': all but the last as in the paper, all but the first two under 'code'. Default 'auto'. */
  layers?: 'auto' | LayerSet | undefined;
  /**
   * 'code' selects as the released code does; ρ and p mean what they mean in the paper in either case.
   * Default 'paper'.
   */
  semantics?: Semantics | undefined;
}

/**
 * VAR, visual attention redistribution: in rows of text, and in heads that look at the image, every sink gives the share p of its weight
 * to the visual tokens that are no sinks, in proportion.
 *
 *     φ(x) = max over the sink dimensions of |x_d| / √(mean x² + 10⁻⁶)      sink: φ ≥ τ, x entering the layer
 *     selected: m_V ≥ m_min and m_A / m_V ≥ ρ
 *     P'_t = (1 − p) P_t on sinks,   P_t (1 + p m_S / m_A) on visual non-sinks,   P_t elsewhere
 *
 * m_V, m_A and m_S are a row's weight on visual tokens, on visual non-sinks and on sinks; P is [B, H, S, T]. Sinks are found in the prompt and
 * kept while decoding. p = 0 is neutral, bit for bit, and so is a prompt without image.
 * Source: Kang et al., arXiv 2503.03321; code seilk/VisAttnSink.
 *
 * @example
 * ```ts
 * const redistributed = vlm.with([visualRedistribution({ dimensions: [17, 90], tau: 3 })]);
 * const output = await redistributed.generate({ ...imageInputs, max_new_tokens: 8 });
 * console.log(output.dims); // [B, S + 8] or less
 * ```
 * @throws AttuneError SPEC_INVALID; when a model uses it, INTERVENTION_REFUSED, DIMENSION_OUT_OF_RANGE, LAYER_OUT_OF_RANGE,
 *   INTERVENTION_CONFLICT; when it runs, IMAGE_SPANS_UNKNOWN, STATE_MISMATCH
 */
export const visualRedistribution: InterventionFactory<
  VisualRedistributionParameters,
  Required<VisualRedistributionParameters>
> = defineIntervention({
  name: 'var',
  stage: 'probabilities',
  needs: ['self-attention', 'image-span'],
  reference: 'arXiv 2503.03321; code seilk/VisAttnSink',
  schema: z.strictObject({
    dimensions: z
      .union([z.enum(sinkPresets), z.array(z.int().nonnegative()).min(1).max(MOST_DIMENSIONS)])
      .describe(
        'hidden dimensions with massive activations: found by calibration, or the name of a known model',
      ),
    tau: z
      .number()
      .nonnegative()
      .finite()
      .default(20)
      .describe('a token is a sink where φ reaches τ; φ never exceeds √D'),
    rho: share.default(0.5).describe('smallest share of the visual weight that is not on sinks'),
    p: share.default(0.6).describe('share of its weight a sink gives away; 0 is neutral'),
    minVisual: share.default(0.2).describe('smallest weight a row must have on the image'),
    layers: z
      .union([z.literal('auto'), layerSet])
      .default('auto')
      .describe("'auto': all but the last as in the paper, all but the first two under 'code'"),
    semantics: z
      .enum(semantics)
      .default('paper')
      .describe(
        "'code' selects as the released code does; ρ and p mean what they mean in the paper in either case",
      ),
  }),
  variant: (spec): { readonly semantics: Semantics } => ({ semantics: spec?.semantics ?? 'paper' }),
  plan: (model, { semantics }) => {
    refuseForm(model);
    return {
      remembers: true,
      knobs: [
        headKnob(SHARE, model, 0),
        numberKnob(RHO, 0),
        numberKnob(TAU, 0),
        numberKnob(LEAST, 0),
        {
          name: DIMENSIONS,
          elemType: DataType.INT64,
          shape: [`${DIMENSIONS}:settings`, MOST_DIMENSIONS],
          neutral: dimensionValues([0]),
        },
        imageKnob,
      ],
      edits: model.decoder.map((site, layer): ExpandEdit => {
        const stream = streamInto(model, site.layer);
        return {
          kind: 'expand',
          site,
          reads: [stream],
          edits: [sinkRedistribution.with({ semantics, rows: 'text' })],
          values: (context) => {
            const rows = context.read(stream);
            return {
              visual: imageKeys(context, rows),
              ...keyGroups(context, rows, {
                name: `attune.var.groups.${layer}`,
                dimensions: DIMENSIONS,
                tau: TAU,
                strict: semantics === 'code',
              }),
              p: layerValues(context, SHARE, layer),
              rho: RHO,
              min_visual: LEAST,
            };
          },
          active: (context) => redistributes(context, layer, context.read(stream)),
        };
      }),
    };
  },
  knobs: ({ dimensions, tau, rho, p, minVisual, layers, semantics }, model) => ({
    [SHARE]: headValues(
      headTable(model, p, { layers: chosenLayers(model, layers, semantics), heads: 'all', neutral: 0 }),
    ),
    [RHO]: oneNumber(rho),
    [TAU]: oneNumber(tau),
    [LEAST]: oneNumber(minVisual),
    [DIMENSIONS]: dimensionValues(
      checked(typeof dimensions === 'string' ? SINK_DIMENSIONS[dimensions] : dimensions, model),
    ),
  }),
  feed: (_spec, _model, request, feeds) => imageFeed('var', request, feeds),
});

/** The paper spares the last layer; the released code, by a slip, the first two instead. */
function chosenLayers(
  { decoder }: ModelFacts,
  layers: 'auto' | z.output<typeof layerSet>,
  semantics: Semantics,
) {
  if (layers !== 'auto') return layers;
  const all = decoder.map((_, layer) => layer);
  const chosen = semantics === 'paper' ? all.slice(0, -1) : all.slice(2);
  if (chosen.length > 0) return chosen;
  throw new AttuneError('INTERVENTION_REFUSED', {
    at: `var (${semantics})`,
    found: `a model of ${decoder.length} layers, none of which it would change`,
    hint: 'Name the layers.',
  });
}

/** @throws AttuneError INTERVENTION_REFUSED */
function refuseForm(model: ModelFacts): void {
  refuseWithoutImages('var', model);
  const nested = model.decoder.find(({ scope }) => scope.length > 0);
  const open = model.decoder.find(({ causal }) => causal !== true);
  const at = nested ?? open;
  if (!at) return;
  throw new AttuneError('INTERVENTION_REFUSED', {
    at: 'var',
    found: nested
      ? `layer ${at.layer} in a branch of an If, which the sinks found cannot leave`
      : `layer ${at.layer}, whose attention is not causal: ${at.causalBy}`,
    expected: 'a causal decoder in the main graph',
  });
}

function streamInto({ points }: ModelFacts, layer: number): HookPoint {
  const tower = points.find(
    ({ kind, site }) => kind === 'hook_pattern' && site?.layer === layer && site.attention === 'self',
  );
  return points.find(
    (point) =>
      point.kind === 'hook_resid_pre' && point.layer === layer && point.tower === (tower?.tower ?? ''),
  )!;
}

/** @throws AttuneError DIMENSION_OUT_OF_RANGE */
function checked(dimensions: readonly number[], { config }: ModelFacts): readonly number[] {
  const text = (config.text_config ?? config) as { hidden_size?: unknown };
  const width = text.hidden_size;
  const beyond = dimensions.find((dimension) => typeof width === 'number' && dimension >= width);
  if (beyond === undefined) return dimensions;
  throw new AttuneError('DIMENSION_OUT_OF_RANGE', {
    at: 'var.dimensions',
    found: `dimension ${beyond}`,
    expected: `0 to ${(width as number) - 1}, counted from 0`,
    hint: 'Sink dimensions belong to one language model; find those of this one with calibrate.',
  });
}

/** int64 [1, MOST_DIMENSIONS]; a short list repeats its first, which changes no maximum. */
function dimensionValues(dimensions: readonly number[]): KnobValue {
  const data = BigInt64Array.from({ length: MOST_DIMENSIONS }, (_, i) =>
    BigInt(dimensions[i] ?? dimensions[0]!),
  );
  return { dims: [1, MOST_DIMENSIONS], data };
}

/** float32 [settings, 1]. */
function numberKnob(name: string, neutral: number): Knob {
  return { name, elemType: DataType.FLOAT, shape: [`${name}:settings`, 1], neutral: oneNumber(neutral) };
}

function oneNumber(value: number): KnobValue {
  return { dims: [1, 1], data: Float32Array.of(value) };
}

/** Whether p is above 0 in the layer, in any setting, and there is an image. */
function redistributes(context: EditContext, layer: number, rows: string): string {
  const { emit, once } = context;
  const layers = once(`${SHARE} active`, () => {
    const total = emit.op('ReduceSum', [SHARE, emit.ints(0, 2)], 'total', { keepdims: 0 }); // [L]
    const some = emit.op('Greater', [total, emit.scalar(0)], 'some');
    return emit.op('And', [some, anyImage(context, rows)], 'active');
  });
  return emit.op('Gather', [layers, emit.int(layer)], 'active', { axis: 0 });
}
