/**
 * VHR, vision-aware head reinforcement (He et al., arXiv 2412.13949): in chosen layers the outputs of the heads that react
 * most to the image are multiplied by α. Per prompt and layer, from the outputs A of its last token before W_O:
 *
 *   VHD_h = ‖A_h − A_h without the image‖,  TA_h = ‖A_h without the image‖²
 *   VHD_h ← 0 where VHD_h and TA_h both exceed mean + standard deviation of the layer's heads
 *   A_h ← α A_h in all rows for the heads with VHD_h above the median
 *
 * A layer chooses with the streams as the layers before have left them. The choice stays while decoding. The reference, the
 * same prompt without its image tokens, is a pass of its own before the prompt's; it is not reinforced.
 */
import { z } from 'zod';
import { AttuneError } from '../errors.ts';
import type { Edit, EditContext, Emit, KnobValue } from '../hooks/compile/index.ts';
import type { Called, Intervention, ModelFacts, Pass, RequestState } from '../hooks/model/index.ts';
import type { Feeds, OrtTensor } from '../hooks/session/index.ts';
import { DataType, makeNode } from '../onnx/index.ts';
import { defineIntervention, type InterventionFactory } from './define.ts';
import { headKnob, headValues, layerValues } from './head-knob.ts';
import { headTable, type LayerSet, layerSet } from './heads.ts';
import { refuseWithoutImages, spansOf } from './image-tokens.ts';
import { numberKnob, numberValue } from './number-knob.ts';
import { withoutImage } from './without-image.ts';

const ALPHA = 'attune.vhr.alpha';
const REFERENCE = 'attune.vhr.reference';
const PRUNE = 'attune.vhr.prune';
const FREEDOM = 'attune.vhr.ddof';
const LAST = 'attune.vhr.last';
const SCORES = 'attune.vhr.scores';

/** Parameters of vhr. */
export interface VhrParameters {
  /** α: factor on the outputs of chosen heads; 1 is neutral, exactly. Default 2. */
  alpha?: number | undefined;
  /**
   * 'auto': the second layer and the last 14 of 32, in models of other depth as many in proportion. Default
   * 'auto'.
   */
  layers?: 'auto' | LayerSet | undefined;
  /** leave out heads that are unusually active without the image. Default true. */
  prune?: boolean | undefined;
  /** standard deviation of the outlier rule; the paper does not say which. Default 'sample'. */
  deviation?: 'sample' | 'population' | undefined;
  /**
   * places of the text in the reference: 'renumbered' as if the image had never been there. Default
   * 'renumbered'.
   */
  positions?: 'renumbered' | 'kept' | undefined;
}

/**
 * VHR, vision-aware head reinforcement: in chosen layers, the outputs of the heads that react most to the image are multiplied by α.
 *
 *     VHD_h = ‖A_h − A_h without the image‖,   TA_h = ‖A_h without the image‖²
 *     VHD_h ← 0 where VHD_h and TA_h both exceed mean + standard deviation of the layer's heads
 *     A_h ← α A_h in all rows, for the heads with VHD_h above the median
 *
 * A is the output of the heads before W_O, [H, D], at the last token of the prompt. Heads are chosen once for each prompt and layer and
 * stay while decoding; the reference is a pass of its own before the prompt's. α = 1 is neutral, bit for bit, and so is a prompt without image.
 * Source: He et al., arXiv 2412.13949; code jinghan1he/VHR.
 *
 * @example
 * ```ts
 * const grounded = vlm.with([vhr({ alpha: 2 })]);
 * const output = await grounded.generate({ ...imageInputs, max_new_tokens: 8 });
 * console.log(output.dims); // [B, S + 8] or less
 * ```
 * @throws AttuneError SPEC_INVALID; when a model uses it, INTERVENTION_REFUSED for a model without images, LAYER_OUT_OF_RANGE,
 *   INTERVENTION_CONFLICT; when it runs, IMAGE_SPANS_UNKNOWN, STATE_MISMATCH
 */
export const vhr: InterventionFactory<VhrParameters, Required<VhrParameters>> = defineIntervention({
  name: 'vhr',
  stage: 'heads',
  needs: ['self-attention', 'image-span', 'second-pass'],
  reference: 'arXiv 2412.13949; code jinghan1he/VHR',
  schema: z.strictObject({
    alpha: z
      .number()
      .finite()
      .default(2)
      .describe('α: factor on the outputs of chosen heads; 1 is neutral, exactly'),
    layers: z
      .union([z.literal('auto'), layerSet])
      .default('auto')
      .describe(
        "'auto': the second layer and the last 14 of 32, in models of other depth as many in proportion",
      ),
    prune: z.boolean().default(true).describe('leave out heads that are unusually active without the image'),
    deviation: z
      .enum(['sample', 'population'])
      .default('sample')
      .describe('standard deviation of the outlier rule; the paper does not say which'),
    positions: z
      .enum(['renumbered', 'kept'])
      .default('renumbered')
      .describe("places of the text in the reference: 'renumbered' as if the image had never been there"),
  }),
  plan: (model) => {
    refuseForm(model);
    return {
      remembers: true,
      knobs: [
        headKnob(ALPHA, model, 1),
        {
          name: REFERENCE,
          elemType: DataType.FLOAT,
          shape: [`${REFERENCE}:rows`, model.decoder.length, `${REFERENCE}:width`],
          neutral: { dims: [1, model.decoder.length, 1], data: new Float32Array(model.decoder.length) },
        },
        numberKnob(PRUNE, 1),
        numberKnob(FREEDOM, 1),
      ],
      edits: [
        ...reinforcements(model),
        {
          kind: 'after',
          build: (context) => finish(context, model.decoder.length, model.decoder[0]!.numHeads),
        },
      ],
    };
  },
  knobs: ({ alpha, layers, prune, deviation }, model) => ({
    [ALPHA]: headValues(
      headTable(model, alpha, { layers: chosenLayers(model, layers), heads: 'all', neutral: 1 }),
    ),
    [PRUNE]: numberValue(prune ? 1 : 0),
    [FREEDOM]: numberValue(deviation === 'sample' ? 1 : 0),
  }),
  run: runWithReference,
});

/** Of 32 layers, index 1 and 18 to 31. */
export function chosenLayers(
  { decoder: { length: L } }: Pick<ModelFacts, 'decoder'>,
  layers: 'auto' | z.output<typeof layerSet>,
) {
  if (layers !== 'auto') return layers;
  const last = Math.max(1, Math.round((L * 14) / 32));
  const late = Array.from({ length: last }, (_, i) => L - last + i);
  return L > 1 && late[0]! > 1 ? [1, ...late] : late;
}

/** One pass without the image, then the call. Rows without an image are left alone. */
async function runWithReference(
  intervention: Intervention<{ readonly positions?: 'renumbered' | 'kept' }>,
  model: ModelFacts,
  request: RequestState,
  feeds: Feeds,
  pass: Pass,
): Promise<Called> {
  const knobs = intervention.kind.knobs(intervention as Intervention, model);
  const alpha = knobs[ALPHA]!;
  const lead = (feeds.inputs_embeds ?? feeds.input_ids)!;
  const spans = request.past > 0 ? [] : spansOf('vhr', request);
  if (request.past > 0 || spans.length === 0 || alpha.data.every((factor) => factor === 1)) {
    return { outputs: (await pass(feeds)).outputs };
  }
  // A batch of settings (each-row.ts) has no positions of its own.
  const { positions = 'renumbered' } = intervention.spec;
  const start = performance.now();
  const reference = await pass(withoutImage(feeds, spans, positions), {
    knobs: {
      [ALPHA]: { dims: [1, model.decoder.length, 1], data: new Float32Array(model.decoder.length).fill(1) },
    },
    request: { ...request, spansHere: [], imageSpans: [] },
    reports: [LAST],
  });
  const middle = performance.now();
  const { outputs, reports } = await pass(feeds, {
    knobs: {
      [REFERENCE]: knobOf(reference.reports[LAST]!),
      [ALPHA]: withImageOnly(
        alpha,
        lead.dims[0]!,
        spans.map(({ row }) => row),
      ),
    },
    reports: [SCORES],
  });
  return {
    outputs,
    reports: {
      ...scores(reports[SCORES]!),
      'vhr.reference_ms': middle - start,
      'vhr.prompt_ms': performance.now() - middle,
    },
  };
}

/** α per row of the batch, 1 in rows without an image. */
function withImageOnly({ dims, data }: KnobValue, B: number, rows: readonly number[]): KnobValue {
  const size = dims[1]! * dims[2]!;
  const result = new Float32Array(B * size).fill(1);
  for (const row of new Set(rows)) {
    const from = dims[0] === 1 ? 0 : row * size;
    result.set((data as Float32Array).subarray(from, from + size), row * size);
  }
  return { dims: [B, dims[1]!, dims[2]!], data: result };
}

function knobOf({ dims, data }: OrtTensor): KnobValue {
  return { dims, data: data as Float32Array };
}

/** The report [B, L, 2, H] taken apart: factors and VHD, [B, L, H] each. */
function scores({ dims, data }: OrtTensor): NonNullable<Called['reports']> {
  const [B, L, , H] = dims as [number, number, number, number];
  const part = (which: number) => {
    const values = new Float32Array(B * L * H);
    for (let i = 0; i < B * L; i++) {
      const from = (i * 2 + which) * H;
      values.set((data as Float32Array).subarray(from, from + H), i * H);
    }
    return { dims: [B, L, H], data: values };
  };
  return { 'vhr.factor': part(0), 'vhr.vhd': part(1) };
}

function reinforcements({ decoder, points }: ModelFacts): Edit[] {
  const L = decoder.length;
  const H = decoder[0]!.numHeads;
  return decoder.map((site, layer) => ({
    kind: 'write',
    point: points.find((point) => point.kind === 'hook_z' && point.site === site)!,
    build: (context: EditContext, z: string) => {
      const { emit } = context;
      const half = site.elemType !== undefined && site.elemType !== DataType.FLOAT;
      const { kept, choosing } = sequenceOf(context, L, H);
      const row = emit.op('Gather', [z, emit.int(-1)], 'last_row', { axis: 1 }); // [B, H, D]
      const last = half ? emit.cast(row, DataType.FLOAT) : row;
      const alpha = layerValues(context, ALPHA, layer); // [settings, heads | 1]
      const chosen = context.once(chosenKey(layer), () => {
        const [one] = emit.either(
          choosing,
          (inner) => [[choose(inner, last, alpha, layer, H), DataType.FLOAT]],
          (inner) => [[inner.op('Gather', [kept, inner.ints(layer)], 'kept', { axis: 1 }), DataType.FLOAT]],
        );
        return one!;
      }); // [B, 1 or 2, H]
      context.once(lastKey(layer), () => emit.reshape(last, [0, 1, -1])); // [B, 1, H·D]
      const factor = emit.op('Gather', [chosen, emit.int(0)], 'factor', { axis: 1 }); // [B, H]
      const shaped = emit.reshape(factor, [0, 1, -1, 1]);
      const typed = half ? emit.cast(shaped, site.elemType!) : shaped;
      return emit.op('Mul', [z, typed], 'reinforced'); // [B, S, H, D]
    },
  }));
}

const chosenKey = (layer: number) => `attune.vhr.chosen.${layer}`;
const lastKey = (layer: number) => `attune.vhr.last.${layer}`;
const FACTORS = 'attune.vhr.factors';

/** What the layers of one graph share. */
interface Sequence {
  /** [B, L, H]: factors the first call chose; 1 in that call itself. */
  readonly kept: string;
  /** bool [1]: the call that starts a sequence, and a reference is given. */
  readonly choosing: string;
}

function sequenceOf({ emit, carry, once }: EditContext, L: number, H: number): Sequence {
  const [kept, choosing] = once('attune.vhr.sequence', () => {
    const { past } = carry(FACTORS, L * H);
    const shape = emit.op('Concat', [emit.dim(past, 0), emit.ints(L * H, 1)], 'ones', { axis: 0 });
    const ones = emit.op('Expand', [emit.scalar(1), shape], 'ones');
    const all = emit.op('Concat', [past, ones], 'factors', { axis: 2 }); // [B, L·H, P + 1]
    const first = emit.reshape(emit.op('Gather', [all, emit.int(0)], 'kept', { axis: 2 }), [0, L, H]);
    const starts = emit.op('Equal', [emit.dim(past, 2), emit.ints(0)], 'starts');
    const given = emit.op('Greater', [emit.dim(REFERENCE, 2), emit.ints(1)], 'given');
    return [first, emit.op('And', [starts, given], 'choosing')];
  });
  return { kept: kept!, choosing: choosing! };
}

function missing(layer: number): never {
  throw new AttuneError('INTERVENTION_REFUSED', {
    at: 'vhr',
    found: `no edit of layer ${layer}`,
    expected: 'edits of all layers in one graph',
  });
}

/** After all layers, in the order of the layers: the state, and what passes may ask for. */
function finish({ emit, report, carry, once }: EditContext, L: number, H: number): void {
  const of = (key: (layer: number) => string) =>
    Array.from({ length: L }, (_, layer) => once(key(layer), () => missing(layer)));
  report(LAST, emit.op('Concat', of(lastKey), 'last_rows', { axis: 1 }), 3); // [B, L, H·D]
  const perLayer = of(chosenKey).map((one) => emit.op('Unsqueeze', [one, emit.ints(1)], 'chosen'));
  const all = emit.op('Concat', perLayer, 'chosen', { axis: 1 }); // [B, L, 1 or 2, H]
  report(SCORES, all, 4);
  const factors = emit.op('Gather', [all, emit.int(0)], 'factors', { axis: 2 });
  carry(FACTORS, L * H).keep(emit.reshape(factors, [0, L * H, 1]));
}

/**
 * Factors and VHD of a layer's heads, [B, 2, H].
 * @param last [B, H, D] outputs at the last token @param alpha [settings, heads | 1]
 */
function choose(emit: Emit, last: string, alpha: string, layer: number, H: number): string {
  const without = emit.op(
    'Reshape',
    [
      emit.op('Gather', [REFERENCE, emit.int(layer)], 'reference', { axis: 1 }),
      emit.op('Shape', [last], 'shape'),
    ],
    'without',
  );
  const norm2 = (x: string) =>
    emit.op('ReduceSum', [emit.op('Mul', [x, x], 'square'), emit.ints(2)], 'norm2', { keepdims: 0 }); // [B, H]
  const vhd = emit.op('Sqrt', [norm2(emit.op('Sub', [last, without], 'moved'))], 'vhd');
  const ta = norm2(without);
  const unusual = emit.op('And', [aboveDeviation(emit, vhd, H), aboveDeviation(emit, ta, H)], 'unusual');
  const outlier = emit.op('And', [unusual, emit.op('Greater', [PRUNE, emit.scalar(0)], 'prune')], 'outlier');
  const pruned = emit.op('Where', [outlier, emit.scalar(0), vhd], 'pruned');
  const selected = emit.op('Greater', [pruned, median(emit, pruned, H)], 'selected');
  const factor = emit.op('Where', [selected, alpha, emit.scalar(1)], 'factor');
  const rows = [factor, vhd].map((x) => emit.op('Unsqueeze', [x, emit.ints(1)], 'scores'));
  return emit.op('Concat', rows, 'scores', { axis: 1 });
}

/** x [B, H] above mean + standard deviation of its row. */
function aboveDeviation(emit: Emit, x: string, H: number): string {
  const sum = (y: string) => emit.op('ReduceSum', [y, emit.ints(1)], 'sum', { keepdims: 1 });
  const mean = emit.op('Div', [sum(x), emit.scalar(H)], 'mean');
  const off = emit.op('Sub', [x, mean], 'off');
  const freedom = emit.op(
    'Max',
    [emit.op('Sub', [emit.scalar(H), FREEDOM], 'freedom'), emit.scalar(1)],
    'freedom',
  );
  const deviation = emit.op(
    'Sqrt',
    [emit.op('Div', [sum(emit.op('Mul', [off, off], 'square')), freedom], 'variance')],
    'deviation',
  );
  return emit.op('Greater', [off, deviation], 'above');
}

/** [B, 1]: of an even number of heads the mean of the middle two. */
function median(emit: Emit, x: string, H: number): string {
  const half = H >> 1;
  const sorted = emit.fresh('sorted');
  emit.add(makeNode('TopK', [x, emit.ints(H)], [sorted, emit.fresh('order')], { attributes: { axis: 1 } }));
  const at = (i: number) => emit.op('Gather', [sorted, emit.ints(i)], 'middle', { axis: 1 });
  if (H % 2 === 1) return at(half);
  const middle = emit.op('Add', [at(half - 1), at(half)], 'middle');
  return emit.op('Mul', [middle, emit.scalar(0.5)], 'median');
}

/** @throws AttuneError INTERVENTION_REFUSED */
function refuseForm(model: ModelFacts): void {
  refuseWithoutImages('vhr', model);
  const nested = model.decoder.find(({ scope }) => scope.length > 0);
  if (!nested) return;
  throw new AttuneError('INTERVENTION_REFUSED', {
    at: 'vhr',
    found: `layer ${nested.layer} in a branch of an If, which the choice of heads cannot leave`,
    expected: 'a decoder in the main graph',
  });
}
