/**
 * What the suite measures attention on: a model of some layers with a GroupQueryAttention in each, recognised and compiled as a
 * live model is, so that what layers have in common is computed once. Projections and feed-forward layers, which cost the same
 * on either side, are left out.
 */
import { AttuneError } from '../../errors.ts';
import { compile, type LoweringName, type Plan } from '../../hooks/compile/index.ts';
import { type Intervention, type ModelFacts, modelFacts } from '../../hooks/model/index.ts';
import type { Feed, RunnableGraph } from '../../kernels/verify/runner.ts';
import { emitter } from '../../onnx/emitter.ts';
import {
  assemble,
  DataType,
  encodeModel,
  type Model,
  makeGraph,
  makeModel,
  makeNode,
  makeValueInfo,
  openModel,
} from '../../onnx/index.ts';
import { bytesSource } from '../../onnx/source.ts';

const OPSET = 21;

export interface Shape {
  readonly name: string;
  readonly H: number;
  readonly K: number;
  readonly D: number;
  /** Layers of the model whose shape it is. */
  readonly layers: number;
}

export const SHAPES: readonly Shape[] = [
  { name: 'Llama-3.2-1B', H: 32, K: 8, D: 64, layers: 16 },
  { name: 'Qwen2.5-0.5B', H: 14, K: 2, D: 64, layers: 24 },
];

export const CALLS = [
  { name: 'decode 512', S: 1, past: 511, pairs: 60 },
  { name: 'decode 2048', S: 1, past: 2047, pairs: 60 },
  { name: 'prefill 512', S: 512, past: 0, pairs: 9 },
  { name: 'prefill 2048', S: 2048, past: 0, pairs: 5 },
] as const;

/** Positions of the rotary tables. */
const LONGEST = 8192;

/** Keys that draw attention from all rows, as a few do in trained models. The first is never an ACT sink. */
const SINKS = [0, 5, 9, 40];
export const isSink = (t: number) => Number(SINKS.includes(t));

export interface Call {
  readonly S: number;
  readonly past: number;
}

/** Of a GroupQueryAttention and its rotary tables. */
function siteFeeds({ H, K, D }: Shape, { S, past }: Call) {
  /** @param drawn what is added where attention is to be drawn from, or to */
  const floats = (dims: number[], drawn: (i: number) => number = () => 0): Feed => {
    const size = dims.reduce((a, b) => a * b, 1);
    const values = Float32Array.from(
      { length: size },
      (_, i) => Math.sin(i * 0.7) + Math.cos(i * i * 0.13) + drawn(i),
    );
    return { elemType: DataType.FLOAT, dims, values };
  };
  const table = (f: (angle: number) => number): Feed => {
    const values = Float32Array.from({ length: LONGEST * (D / 2) }, (_, i) => {
      const [t, channel] = [Math.floor(i / (D / 2)), i % (D / 2)];
      return f(t * 500_000 ** (-channel / (D / 2)));
    });
    return { elemType: DataType.FLOAT, dims: [LONGEST, D / 2], values };
  };
  const pull = (t: number) => 0.6 * isSink(t);
  return {
    q: floats([1, S, H * D], () => 0.6),
    k: floats([1, S, K * D], (i) => pull(past + Math.floor(i / (K * D)))),
    v: floats([1, S, K * D]),
    past_k: floats([1, K, past, D], (i) => pull(Math.floor(i / D) % past)),
    past_v: floats([1, K, past, D]),
    // Rotation is part of the operator in most exports, and what it costs apart from it counts.
    cos: table(Math.cos),
    sin: table(Math.sin),
  };
}

/** What the model is fed in a call of a batch of one. */
export function feedsOf(shape: Shape, call: Call, layers: number): Record<string, Feed> {
  const { S, past } = call;
  const { q, k, v, past_k, past_v, cos, sin } = siteFeeds(shape, call);
  const T = past + S;
  const feeds: Record<string, Feed> = {
    input_ids: { elemType: DataType.INT64, dims: [1, S], values: Array(S).fill(1) },
    attention_mask: { elemType: DataType.INT64, dims: [1, T], values: Array(T).fill(1) },
    x: q,
    cos,
    sin,
  };
  for (let layer = 0; layer < layers; layer++) {
    Object.assign(feeds, { [`q.${layer}`]: q, [`k.${layer}`]: k, [`v.${layer}`]: v });
    feeds[`past_key_values.${layer}.key`] = past_k;
    feeds[`past_key_values.${layer}.value`] = past_v;
  }
  return feeds;
}

/**
 * Room for the caches a call gives: fetched without it, megabytes of fresh memory and a copy would be paid on either side, and
 * pull every ratio towards 1.
 */
export function roomFor({ K, D }: Shape, { S, past }: Call, layers: number): Record<string, number[]> {
  const names = Array.from({ length: layers }, (_, i) => [`present.${i}.key`, `present.${i}.value`]);
  return Object.fromEntries(names.flat().map((name) => [name, [1, K, past + S, D]]));
}

export function runnable({ graph, functions, opsetImports }: Model): RunnableGraph {
  const opsets = Object.fromEntries(opsetImports.map(({ domain, version }) => [domain, version]));
  return { graph, functions, opsets };
}

/** What is done to the attention: a plan, and values of its knobs other than neutral. */
export interface Work {
  readonly plan: Plan;
  readonly values: Readonly<Record<string, { dims: readonly number[]; data: ArrayLike<number | bigint> }>>;
}

export function workOf(one: Intervention, facts: ModelFacts): Work {
  return { plan: one.kind.plan(facts, one.kind.variant?.(one)), values: one.kind.knobs(one, facts) };
}

/**
 * Compiled by the product's compiler, with its knobs, and statistics that began with the first row.
 * @throws AttuneError LOWERING_UNAVAILABLE
 */
export function compiled(
  facts: ModelFacts,
  { plan, values }: Work,
  {
    ep,
    lowering,
    feeds,
    past,
  }: {
    readonly ep: string;
    readonly lowering?: LoweringName | undefined;
    readonly feeds: Readonly<Record<string, Feed>>;
    readonly past: number;
  },
): { readonly model: RunnableGraph; readonly feeds: Record<string, Feed> } {
  const { model, knobs, states } = compile(facts.recognition, plan, { ep, lowering });
  const all: Record<string, Feed> = { ...feeds };
  for (const { name, elemType, neutral } of knobs) {
    const { dims, data } = values[name] ?? neutral;
    all[name] = { elemType, dims, values: Array.from(data, Number) };
  }
  for (const { input, elemType, shape } of states) {
    const dims = [1, Number(shape[1]), past];
    all[input] = { elemType, dims, values: Array(dims[1]! * past).fill(1) };
  }
  return { model: runnable(model), feeds: all };
}

/**
 * A GroupQueryAttention a layer, whose output is added to a residual stream: by that a graph shows its layers. Lengths come
 * from the attention mask, as exports count them.
 * @throws AttuneError NO_ATTENTION
 */
export async function factsOf({ H, K, D }: Shape, layers: number): Promise<ModelFacts> {
  const emit = emitter(OPSET, 'model.');
  const real = emit('ReduceSum', ['attention_mask', emit.ints(1)], { keepdims: 1 });
  const seqlens = emit('Cast', [emit('Sub', [real, emit.ints(1)])], { to: DataType.INT32 });
  const length = emit('Gather', [emit('Shape', ['attention_mask']), emit.int(1)], { axis: 0 });
  const total = emit('Cast', [length], { to: DataType.INT32 });
  const each = Array.from({ length: layers }, (_, layer) => layer);
  const attributes = { num_heads: H, kv_num_heads: K, do_rotary: 1 };
  const attention = makeNode('com.microsoft.GroupQueryAttention', [], [], { attributes });
  const stream = each.reduce((x, i) => {
    const cache = [`past_key_values.${i}.key`, `past_key_values.${i}.value`];
    const inputs = [`q.${i}`, `k.${i}`, `v.${i}`, ...cache, seqlens, total, 'cos', 'sin'];
    const z = `z.${i}`;
    emit.copy(attention, inputs, [z, `present.${i}.key`, `present.${i}.value`]);
    return emit('Add', [x, z]);
  }, 'x');
  emit.as('y', 'Identity', [stream]);
  const float = (name: string, ...shape: (number | string)[]) => makeValueInfo(name, DataType.FLOAT, shape);
  const caches = (which: string, T: string) =>
    each.flatMap((i) => ['key', 'value'].map((part) => float(`${which}.${i}.${part}`, 'B', K, T, D)));
  const graph = makeGraph('attention of all layers', {
    nodes: emit.nodes,
    inputs: [
      makeValueInfo('input_ids', DataType.INT64, ['B', 'S']),
      makeValueInfo('attention_mask', DataType.INT64, ['B', 'T']),
      float('x', 'B', 'S', H * D),
      float('cos', 'positions', D / 2),
      float('sin', 'positions', D / 2),
      ...each.flatMap((i) => [
        float(`q.${i}`, 'B', 'S', H * D),
        float(`k.${i}`, 'B', 'S', K * D),
        float(`v.${i}`, 'B', 'S', K * D),
      ]),
      ...caches('past_key_values', 'P'),
    ],
    outputs: [float('y', 'B', 'S', H * D), ...caches('present', 'T')],
  });
  const model = makeModel(graph, { '': OPSET, 'com.microsoft': 1 });
  const bytes = await assemble(encodeModel(model), bytesSource(new Uint8Array()));
  const facts = modelFacts(await openModel(bytes), { num_hidden_layers: layers });
  if (facts.decoder.length === layers) return facts;
  throw new AttuneError('NO_ATTENTION', {
    found: `${facts.decoder.length} layers of a decoder`,
    expected: `${layers}`,
  });
}
