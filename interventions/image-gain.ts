/**
 * Logits toward image tokens raised by a share of their own size, in the last row of a call:
 *
 *   s_nt ← s_nt + g_t |s_nt|
 *
 * with a gain g per key and 0 elsewhere. The primitive of PAI (arXiv 2407.21771) and imbalanced attention
 * (arXiv 2501.12206), which share its knobs and edits: at most one of them is in force. A positive logit grows, a negative
 * one moves toward 0. The last row of a prompt predicts its first token; earlier rows are never touched.
 */
import { AttuneError } from '../errors.ts';
import type { Edit, EditContext, Emit, Knob, KnobValue } from '../hooks/compile/index.ts';
import { MASKED_BELOW } from '../hooks/compile/index.ts';
import type { ModelFacts, RequestState } from '../hooks/model/index.ts';
import type { Feeds } from '../hooks/session/index.ts';
import { logitGain } from '../kernels/edits/logit-gain.ts';
import { DataType } from '../onnx/index.ts';
import type { Site } from '../sites/site.ts';
import { headKnob, headValues, layerValues } from './head-knob.ts';
import { headTable, type LayerSet } from './heads.ts';
import { refuseWithoutImages, spansOf } from './image-tokens.ts';

const FACTOR = 'attune.gain.factor';
const HERE = 'attune.gain.tokens';
const PROMPT = 'attune.gain.prompt';

/** Which calls are edited: all, or not the prompt's, as the released code does when its guidance is on. */
export type GainRows = 'last' | 'decode';

/** @throws AttuneError INTERVENTION_REFUSED */
export function gainPlan(kind: string, model: ModelFacts) {
  refuseWithoutImages(kind, model);
  if (!model.file.model.graph.inputs.some(({ name }) => name === 'input_ids' || name === 'inputs_embeds')) {
    throw new AttuneError('INTERVENTION_REFUSED', {
      at: kind,
      found: 'a graph without input_ids and inputs_embeds',
      expected: 'one that takes tokens or their embeddings',
    });
  }
  const nested = model.decoder.find(({ scope }) => scope.length > 0);
  if (nested) {
    throw new AttuneError('INTERVENTION_REFUSED', {
      at: kind,
      found: `layer ${nested.layer} in a branch of an If, which the gains of image tokens cannot leave`,
      expected: 'a decoder in the main graph',
    });
  }
  return {
    remembers: true,
    knobs: [headKnob(FACTOR, model, 0), hereKnob, promptKnob],
    edits: model.decoder.map((site, layer): Edit => {
      const edit = { site, shared: 'image gain' };
      if (!site.fused) {
        return { ...edit, kind: 'logits', build: (context, scores) => raised(context, scores, site, layer) };
      }
      return {
        ...edit,
        kind: 'expand',
        edits: [logitGain.with({ rows: 'last' })],
        values: (context) => ({ b: gains(context, layer) }),
        active: (context) => raises(context, layer),
      };
    }),
  };
}

/** Values of the knobs but for the tokens'. `factors`: one for all heads, or one for each. */
export function gainKnobs(
  model: ModelFacts,
  layers: LayerSet,
  rows: GainRows,
  factors: number | readonly number[] = 1,
): Record<string, KnobValue> {
  return {
    [FACTOR]: headValues(headTable(model, factors, { layers, heads: 'all', neutral: 0 })),
    [PROMPT]: { dims: [1, 1], data: Float32Array.of(rows === 'last' ? 1 : 0) },
  };
}

/** The paper leaves the first 2 of 32 layers alone; other depths in proportion. */
export function laterLayers({ decoder: { length: L } }: Pick<ModelFacts, 'decoder'>): number[] {
  const from = Math.round((L * 2) / 32);
  return Array.from({ length: L - from }, (_, i) => from + i);
}

/**
 * Gains of this run's image tokens.
 * @param gain of the t-th image token over all rows of the run, in order
 * @throws AttuneError IMAGE_SPANS_UNKNOWN
 */
export function gainFeed(
  kind: string,
  request: RequestState,
  feeds: Feeds,
  gain: (token: number) => number,
): Record<string, KnobValue> {
  const spans = spansOf(kind, request);
  if (spans.length === 0) return {};
  const [rows = 1, tokens = 1] = (feeds.inputs_embeds ?? feeds.input_ids)?.dims ?? [];
  const data = new Float32Array(rows * tokens);
  let t = 0;
  for (const { row, from, to } of spans) {
    for (let column = from; column < to; column++) data[row * tokens + column] = gain(t++);
  }
  return { [HERE]: { dims: [rows, tokens], data } };
}

/** float32 [B|1, S|1]: gains of this run's tokens. */
const hereKnob: Knob = {
  name: HERE,
  elemType: DataType.FLOAT,
  shape: [`${HERE}:rows`, `${HERE}:tokens`],
  neutral: { dims: [1, 1], data: new Float32Array(1) },
};

/** float32 [settings, 1]: 0 leaves prompts alone. */
const promptKnob: Knob = {
  name: PROMPT,
  elemType: DataType.FLOAT,
  shape: [`${PROMPT}:settings`, 1],
  neutral: { dims: [1, 1], data: new Float32Array(1) },
};

/** [B, 1, T]: the gain of each key in this call. */
function keyGains(context: EditContext): string {
  const { emit } = context;
  return context.once('image gains', () => {
    const lead = context.tokens!;
    const shape = emit.op('Concat', [emit.dim(lead, 0), emit.dim(lead, 1)], 'rows', { axis: 0 });
    const here = emit.op('Unsqueeze', [emit.op('Expand', [HERE, shape], 'here'), emit.ints(1)], 'here');
    const { past, keep } = context.carry('attune.gain', 1);
    const all = emit.op('Concat', [past, here], 'gains', { axis: 2 });
    keep(all);
    const prompt = emit.op('Greater', [emit.dim(lead, 1), emit.ints(1)], 'prompt');
    const share = emit.op('Where', [prompt, PROMPT, emit.scalar(1)], 'share'); // [settings, 1]
    return emit.op('Mul', [all, emit.op('Unsqueeze', [share, emit.ints(2)], 'share')], 'gains');
  });
}

/** [B, H|1, T]. */
function gains(context: EditContext, layer: number): string {
  const { emit } = context;
  const factor = emit.op('Unsqueeze', [layerValues(context, FACTOR, layer), emit.ints(2)], 'factor');
  return emit.op('Mul', [factor, keyGains(context)], 'layer_gains');
}

/** Whether any logit of the layer is raised. */
function raises(context: EditContext, layer: number): string {
  const { emit, once } = context;
  const some = (x: string, ...axes: number[]) => {
    const total = emit.op('ReduceSum', [emit.op('Abs', [x], 'size'), emit.ints(...axes)], 'total', {
      keepdims: 0,
    });
    return emit.op('Greater', [total, emit.scalar(0)], 'some');
  };
  const layers = once(`${FACTOR} active`, () =>
    emit.op('And', [some(FACTOR, 0, 2), some(keyGains(context), 0, 1, 2)], 'active'),
  );
  return emit.op('Gather', [layers, emit.int(layer)], 'active', { axis: 0 });
}

/** The scores with their last row raised; of an unfused site, [B, H, S, T]. */
function raised(context: EditContext, scores: string, site: Site, layer: number): string {
  const { emit } = context;
  const gain = emit.op('Unsqueeze', [gains(context, layer), emit.ints(2)], 'gain'); // [B, H|1, 1, T]
  const type = site.elemType ?? DataType.FLOAT;
  return emit.either(
    raises(context, layer),
    (inner) => [[lastRowRaised(inner, scores, gain, type), type]],
    () => [[scores, type]],
  )[0]!;
}

function lastRowRaised(emit: Emit, scores: string, gain: string, type: number): string {
  const cut = (from: number, to: number) => emit.slice(scores, 2, emit.ints(from), emit.ints(to));
  const last = cut(-1, Number.MAX_SAFE_INTEGER);
  const float = type === DataType.FLOAT ? last : emit.cast(last, DataType.FLOAT);
  const more = emit.op(
    'Add',
    [float, emit.op('Mul', [emit.op('Abs', [float], 'size'), gain], 'more')],
    'raised',
  );
  const seen = emit.op('Greater', [float, emit.scalar(MASKED_BELOW)], 'seen');
  const row = emit.op('Where', [seen, more, float], 'raised');
  const typed = type === DataType.FLOAT ? row : emit.cast(row, type);
  return emit.op('Concat', [cut(0, -1), typed], 'scores', { axis: 2 });
}
