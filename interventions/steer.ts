/**
 * Steering: the residual stream, or the outputs of heads, moved along a direction.
 *
 *   add        x ← x + α v
 *   project    x ← x − α (x·u) u              u = v / ‖v‖
 *   clamp      x ← x + α (min(max(x·u, lo), hi) − x·u) u
 *
 * and with `preserveNorm` x ← x ‖x before‖ / ‖x‖. Contrastive activation addition (Rimsky et al., arXiv 2312.06681), control
 * vectors (repeng), inference-time intervention on heads (Li et al., arXiv 2306.03341), directional ablation (Arditi et al.,
 * arXiv 2406.11717), VISTA's norm (arXiv 2502.03628).
 */
import { z } from 'zod';
import { AttuneError } from '../errors.ts';
import type { Edit, EditContext, Emit, Knob, KnobValue } from '../hooks/compile/index.ts';
import type { ModelFacts } from '../hooks/model/index.ts';
import { DataType } from '../onnx/index.ts';
import type { HookPoint } from '../sites/points/index.ts';
import type { Site } from '../sites/site.ts';
import { defineIntervention, type Filled, type InterventionFactory } from './define.ts';
import { type DirectionPlace, PLACES } from './directions/directions.ts';
import { type DirectionsFile, directionsFile } from './directions/file.ts';
import { steeredLayers, steeringVectors } from './directions/vectors.ts';
import { type HeadSet, headSet, type LayerSet } from './heads.ts';
import { numberKnob, numberValue } from './number-knob.ts';
import { gateFeed, gateKnob, POSITIONS, type Positions, positionsSchema } from './positions.ts';

const ADDED = 'attune.steer.added';
const READ = 'attune.steer.read';
const WRITTEN = 'attune.steer.written';
const LOW = 'attune.steer.low';
const HIGH = 'attune.steer.high';
const GATE = 'attune.steer.gate';

/** What the graph depends on: neither directions nor strengths. */
type Variant = {
  /** By a vector, or toward a range of x·u. */
  readonly moved: 'by' | 'toward';
  readonly at: (typeof PLACES)[number];
  /** Indices, or 'all'. */
  readonly layers: string;
  readonly norm: boolean;
  readonly gated: boolean;
};

const vector = z.array(z.number()).min(1);
const file = z.strictObject({ file: z.string(), sha256: z.string() });
const bound = z.number().nullable();

const schema = z
  .strictObject({
    directions: z
      .union([z.string().transform(directionsFile), file, z.record(z.string().regex(/^\d+$/), vector)])
      .describe('a .safetensors or .gguf file, or { layer: [numbers] }, layers from 0'),
    at: z
      .enum(PLACES)
      .default('resid_post')
      .describe(
        'resid_post: the residual stream as it leaves a layer; z: the outputs of heads, one after another',
      ),
    mode: z
      .enum(['add', 'project', 'clamp'])
      .default('add')
      .describe('add: x + α v; project: x without its part along v; clamp: that part kept in `range`'),
    strength: z.number().default(1).describe('α: how far it is moved; 0 is neutral'),
    range: z.tuple([bound, bound]).optional().describe('clamp: [lo, hi] of the part along v; null: no bound'),
    unit: z.boolean().default(false).describe('add: v / ‖v‖ in place of v'),
    layers: z
      .union([z.literal('all'), z.array(z.int().nonnegative()).min(1)])
      .default('all')
      .describe('those of the directions, or some of them'),
    heads: headSet.default('all').describe('at z: the heads that are moved'),
    positions: positionsSchema.default('all').describe(POSITIONS),
    preserveNorm: z.boolean().default(false).describe('x keeps the length it had'),
  })
  .superRefine(({ mode, range }, context) => {
    if ((mode === 'clamp') !== (range !== undefined)) {
      const message = mode === 'clamp' ? 'clamp needs [lo, hi]' : `${mode} has no range`;
      context.addIssue({ code: 'custom', path: ['range'], message });
    } else if (range && (range[0] ?? -Infinity) > (range[1] ?? Infinity)) {
      context.addIssue({ code: 'custom', path: ['range'], message: 'lo is above hi' });
    }
  });

/** Parameters of steer. */
export interface SteerParameters {
  /** a .safetensors or .gguf file, or { layer: [numbers] }, layers from 0. */
  directions: string | DirectionsFile | Record<string, number[]>;
  /**
   * resid_post: the residual stream as it leaves a layer; z: the outputs of heads, one after another.
   * Default 'resid_post'.
   */
  at?: DirectionPlace | undefined;
  /** add: x + α v; project: x without its part along v; clamp: that part kept in `range`. Default 'add'. */
  mode?: 'add' | 'project' | 'clamp' | undefined;
  /** α: how far it is moved; 0 is neutral. Default 1. */
  strength?: number | undefined;
  /** clamp: [lo, hi] of the part along v; null: no bound. */
  range?: [low: number | null, high: number | null] | undefined;
  /** add: v / ‖v‖ in place of v. Default false. */
  unit?: boolean | undefined;
  /** those of the directions, or some of them. Default 'all'. */
  layers?: LayerSet | undefined;
  /** at z: the heads that are moved. Default 'all'. */
  heads?: HeadSet | undefined;
  /**
   * 'prompt': the first call; 'generated': what comes after; 'answer': that, and the prompt's last token; or
   * [start, end) from the first real token. Default 'all'.
   */
  positions?: Positions | undefined;
  /** x keeps the length it had. Default false. */
  preserveNorm?: boolean | undefined;
}

/**
 * Steering: moves the residual stream, or the outputs of heads, along a direction of each layer.
 *
 *     add        x ← x + α v
 *     project    x ← x − α (x·u) u                                 u = v / ‖v‖
 *     clamp      x ← x + α (min(max(x·u, lo), hi) − x·u) u
 *
 * x is [B, S, M] where it leaves a layer, or z [B, S, H, D] head by head; v has as many numbers as x at one token. α = 0 is neutral. Other
 * directions and strengths for the same layers build nothing anew.
 * Source: Rimsky et al., arXiv 2312.06681; Li et al., arXiv 2306.03341; Arditi et al., arXiv 2406.11717; control vectors of vgel/repeng.
 *
 * @example
 * ```ts
 * const direction = Array.from({ length: 128 }, (_, i) => Math.sin(i)); // M numbers; `attune directions` finds better ones
 * const output = await model.generate({
 *   ...inputs, max_new_tokens: 8, interventions: [steer({ directions: { 2: direction }, strength: 4 })],
 * });
 * ```
 * @throws AttuneError SPEC_INVALID, FILE_NOT_FOUND, DIRECTIONS_INVALID; when a model uses it, DIRECTIONS_CHANGED, DIRECTION_WIDTH,
 *   DIRECTION_MODEL, DIRECTION_MISSING, LAYER_OUT_OF_RANGE, HEAD_OUT_OF_RANGE, INTERVENTION_REFUSED
 */
export const steer: InterventionFactory<
  SteerParameters,
  Filled<SteerParameters, Exclude<keyof SteerParameters, 'range'>>
> = defineIntervention({
  name: 'steer',
  stage: 'residual',
  needs: [],
  reference: 'arXiv 2312.06681, 2306.03341, 2406.11717; code vgel/repeng',
  schema,
  variant: (spec): Variant => ({
    moved: spec === undefined || spec.mode === 'add' ? 'by' : 'toward',
    at: spec?.at ?? 'resid_post',
    layers: spec === undefined ? 'all' : steeredLayers(spec).join(),
    norm: spec?.preserveNorm ?? false,
    gated: spec !== undefined && spec.positions !== 'all',
  }),
  plan: (model, variant: Variant) => {
    const places = placesOf(model, variant);
    const vectors = variant.moved === 'by' ? [ADDED] : [READ, WRITTEN];
    return {
      knobs: [
        ...vectors.map((name) => vectorKnob(name, places)),
        ...(variant.moved === 'toward' ? [numberKnob(LOW, 0), numberKnob(HIGH, 0)] : []),
        ...(variant.gated ? [gateKnob(GATE)] : []),
      ],
      edits: places.map(
        (place, i): Edit => ({
          kind: 'write',
          point: place.point,
          build: (context, x) => steered({ context, variant, place, layer: i, layers: places.length }, x),
        }),
      ),
    };
  },
  knobs: (spec, model): Record<string, KnobValue> => {
    const vectors = steeringVectors(spec, model);
    if (spec.mode === 'add') return { [ADDED]: table(vectors.map(({ added }) => added)) };
    const [low, high] = spec.mode === 'clamp' ? spec.range! : [0, 0];
    return {
      [READ]: table(vectors.map(({ read }) => read)),
      [WRITTEN]: table(vectors.map(({ written }) => written)),
      [LOW]: numberValue(low ?? Number.NEGATIVE_INFINITY),
      [HIGH]: numberValue(high ?? Number.POSITIVE_INFINITY),
    };
  },
  feed: ({ positions }, _model, request, feeds): Record<string, KnobValue> =>
    positions === 'all' ? {} : { [GATE]: gateFeed(positions, request, feeds) },
});

interface Place {
  readonly point: HookPoint;
  readonly site: Site;
}

/** @throws AttuneError INTERVENTION_REFUSED without layers, and for one whose stream cannot be written */
function placesOf({ decoder, points }: ModelFacts, { at, layers }: Variant): Place[] {
  const chosen = layers === 'all' ? undefined : new Set(layers.split(',').map(Number));
  const own = decoder.filter(({ layer }) => chosen?.has(layer) ?? true);
  if (own.length === 0) {
    throw new AttuneError('INTERVENTION_REFUSED', {
      at: 'steer',
      found: 'no layer with self-attention to steer',
      expected: 'at least one, by which layers are counted',
      hint: '`attune inspect --explain` shows what was recognised, and what almost was.',
    });
  }
  return own.map((site) => {
    const point = points.find((one) =>
      at === 'z'
        ? one.kind === 'hook_z' && one.site === site
        : one.kind === 'hook_resid_post' && one.layer === site.layer && one.tower === site.tower,
    );
    if (point && point.source.from !== 'nowhere' && point.source.from !== 'beside') return { point, site };
    throw new AttuneError('INTERVENTION_REFUSED', {
      at: `steer, layer ${site.layer}`,
      found: point?.source.from === 'nowhere' ? point.source.reason : `no hook_${at} that can be written`,
      expected: 'a layer whose stream can be written',
      hint: '`attune inspect --points` lists what each layer has; `layers` takes some of the directions.',
    });
  });
}

/** float32 [settings, layers, M or H·D]. */
function vectorKnob(name: string, places: readonly Place[]): Knob {
  const [{ point, site }] = places as [Place];
  // Heads are told apart by the width; the stream takes one zero for all.
  const width = point.kind === 'hook_z' ? site.numHeads * site.valueDim : 1;
  const neutral = { dims: [1, places.length, width], data: new Float32Array(places.length * width) };
  return {
    name,
    elemType: DataType.FLOAT,
    shape: [`${name}:settings`, places.length, `${name}:width`],
    neutral,
  };
}

function table(vectors: readonly Float32Array[]): KnobValue {
  const width = vectors[0]!.length;
  const data = new Float32Array(vectors.length * width);
  for (const [i, vector] of vectors.entries()) data.set(vector, i * width);
  return { dims: [1, vectors.length, width], data };
}

interface Step {
  readonly context: EditContext;
  readonly variant: Variant;
  readonly place: Place;
  readonly layer: number;
  readonly layers: number;
}

/** x [B,S,M] or [B,S,H,D], in the model's type. */
function steered(step: Step, x: string): string {
  const { context, variant, place } = step;
  const { emit } = context;
  const half = place.site.elemType === DataType.FLOAT16;
  const wide = half && (variant.moved === 'toward' || variant.norm) ? emit.cast(x, DataType.FLOAT) : x;
  const typed = half && wide === x;
  const by = variant.moved === 'by' ? vectorOf(step, ADDED, typed) : toward(step, wide);
  const gated = variant.gated ? emit.op('Mul', [by, gate(step, typed)], 'gated') : by;
  const moved = emit.op('Add', [wide, gated], 'steered');
  const result = variant.norm ? lengthKept(emit, wide, moved) : moved;
  return half && !typed ? emit.cast(result, DataType.FLOAT16) : result;
}

/** (min(max(x·u, lo), hi) − x·u) α u. */
function toward(step: Step, x: string): string {
  const { emit } = step.context;
  const along = emit.op('Mul', [x, vectorOf(step, READ, false)], 'along');
  const part = emit.reduce('ReduceSum', along, -1); // [B,S,1] or [B,S,H,1]
  const kept = emit.op(
    'Min',
    [emit.op('Max', [part, numberOf(step, LOW)], 'part'), numberOf(step, HIGH)],
    'part',
  );
  const more = emit.op('Sub', [kept, part], 'more');
  return emit.op('Mul', [more, vectorOf(step, WRITTEN, false)], 'toward');
}

/** [settings,1,M] or [settings,1,H,D]. */
function vectorOf({ context, place, layer, layers }: Step, knob: string, half: boolean): string {
  const { emit, once } = context;
  const { point, site } = place;
  const pieces = once(`${knob} ${half}`, () =>
    emit.split(half ? emit.cast(knob, DataType.FLOAT16) : knob, 1, layers),
  );
  return point.kind === 'hook_z'
    ? emit.reshape(pieces[layer]!, [0, 1, site.numHeads, site.valueDim])
    : pieces[layer]!;
}

/** [settings,1,1] or [settings,1,1,1]. */
function numberOf(step: Step, knob: string): string {
  return ranked(step, knob, [0, 1, 1]);
}

/** [B|1,S|1,1] or [B|1,S|1,1,1]. */
function gate(step: Step, half: boolean): string {
  const { emit, once } = step.context;
  const typed = half ? once(`${GATE} half`, () => emit.cast(GATE, DataType.FLOAT16)) : GATE;
  return ranked(step, typed, [0, 0, 1]);
}

function ranked({ context: { emit, once }, place }: Step, value: string, lengths: readonly number[]): string {
  const all = place.point.kind === 'hook_z' ? [...lengths, 1] : lengths;
  return once(`${value} ranked ${all.length}`, () => emit.reshape(value, all));
}

/** Against 0 / 0; far below any length that a stream has. */
const SMALLEST = 1e-30;

/** x' ‖x‖ / ‖x'‖, which is x' where the two are equal. */
function lengthKept(emit: Emit, before: string, after: string): string {
  const square = (x: string) => emit.reduce('ReduceSum', emit.op('Mul', [x, x], 'square'), -1);
  const least = emit.op('Max', [square(after), emit.scalar(SMALLEST)], 'square');
  const ratio = emit.op('Sqrt', [emit.op('Div', [square(before), least], 'ratio')], 'ratio');
  return emit.op('Mul', [after, ratio], 'length_kept');
}
