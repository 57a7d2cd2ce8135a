/**
 * Decoding with the attention of all layers in one graph, untouched against what a live model executes: sites are recognised
 * and the intervention is compiled in as `attune` does it, so that what layers have in common is computed once. Projections
 * and feed-forward layers, which cost the same on either side, are left out.
 */
import { AttuneError } from '../../errors.ts';
import { compile } from '../../hooks/compile/index.ts';
import { type Intervention, type ModelFacts, modelFacts } from '../../hooks/model/index.ts';
import { act, zeroTuning } from '../../interventions/index.ts';
import type { Feed, RunnableGraph, Runner } from '../../kernels/verify/runner.ts';
import { emitter } from '../../onnx/emitter.ts';
import {
  assemble,
  DataType,
  encodeModel,
  type Graph,
  makeGraph,
  makeModel,
  makeNode,
  makeValueInfo,
  openModel,
} from '../../onnx/index.ts';
import { bytesSource } from '../../onnx/source.ts';
import { compare, paired, spread } from '../paired.ts';
import type { Case } from '../suite.ts';
import { CALLS, feedsOf, SHAPES, type Shape } from './site.ts';

const OPSET = 21;

interface Contender {
  readonly name: string;
  readonly intervention: (shape: Shape) => Intervention;
  readonly bound: number;
  readonly note: string;
}

/** Bounds are those of one site: the operator kept, and written out. */
const CONTENDERS: readonly Contender[] = [
  {
    name: 'ZeroTuning, one γ',
    intervention: () => zeroTuning({ gamma: 1.35 }),
    bound: 1.03,
    note: 'an If a layer; biases of all layers by two nodes',
  },
  {
    name: 'ZeroTuning, γ per head',
    intervention: ({ H }) => zeroTuning({ gamma: Array.from({ length: H }, (_, h) => 0.6 + 0.1 * (h % 12)) }),
    bound: 1.03,
    note: 'an If a layer; biases of all layers by two nodes',
  },
  {
    name: 'ACT, running',
    intervention: () => act({ heads: 'all' }),
    bound: 1.2,
    note: 'one row written out; what a key must reach to be a sink is computed once',
  },
];

/** @param runnerOf cpu */
export function allSites(runnerOf: () => Promise<Runner>): Case[] {
  const decode = CALLS.filter(({ S }) => S === 1);
  return SHAPES.flatMap((shape) =>
    decode.flatMap((call) =>
      CONTENDERS.map(
        ({ name, intervention, bound, note }): Case => ({
          case: `${shape.name}, ${shape.layers} sites, ${call.name}, ${name}`,
          bound,
          run: async ({ clock, effort }) => {
            const [runner, facts] = [await runnerOf(), await factsOf(shape)];
            const feeds = modelFeeds(shape, call.past);
            const { model, all } = edited(facts, intervention(shape), feeds, call.past);
            const present = presentShapes(shape, call.past + 1);
            const plain = await runner.prepare(runnable(facts.file.model.graph), feeds, present);
            const candidate = await runner.prepare(model, all, present);
            const pairs = Math.max(1, Math.round(call.pairs * effort));
            const result = compare(await paired(plain, candidate, { pairs, warmUp: 2 }), clock);
            const { baselineMs, ms, ratio } = result;
            return { baselineMs, ms, ratio, note: `${note}; ${spread(result)}` };
          },
        }),
      ),
    ),
  );
}

function runnable(
  graph: Graph,
  functions: RunnableGraph['functions'] = [],
  opsets: Readonly<Record<string, number>> = { '': OPSET, 'com.microsoft': 1 },
): RunnableGraph {
  return { graph, functions, opsets };
}

/** The intervention compiled in for the cpu, with its knobs, and statistics that began with the first row. */
function edited(
  facts: ModelFacts,
  one: Intervention,
  feeds: Readonly<Record<string, Feed>>,
  past: number,
): { model: RunnableGraph; all: Record<string, Feed> } {
  const compiled = compile(facts.recognition, one.kind.plan(facts, one.kind.variant?.(one)));
  const values = one.kind.knobs(one, facts);
  const all: Record<string, Feed> = { ...feeds };
  for (const { name, elemType, neutral } of compiled.knobs) {
    const { dims, data } = values[name] ?? neutral;
    all[name] = { elemType, dims, values: Array.from(data, Number) };
  }
  for (const { input, elemType, shape } of compiled.states) {
    const dims = [1, Number(shape[1]), past];
    all[input] = { elemType, dims, values: Array(dims[1]! * past).fill(1) };
  }
  const { graph, functions, opsetImports } = compiled.model;
  const opsets = Object.fromEntries(opsetImports.map(({ domain, version }) => [domain, version]));
  return { model: runnable(graph, functions, opsets), all };
}

function modelFeeds({ layers, ...shape }: Shape, past: number): Record<string, Feed> {
  const { q, k, v, past_k, past_v, cos, sin } = feedsOf({ ...shape, layers }, { S: 1, past });
  const feeds: Record<string, Feed> = {
    input_ids: { elemType: DataType.INT64, dims: [1, 1], values: [1] },
    attention_mask: { elemType: DataType.INT64, dims: [1, past + 1], values: Array(past + 1).fill(1) },
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

/** Caches are written to where they were before: megabytes of fresh memory at every run are noise on either side. */
function presentShapes({ layers, K, D }: Shape, T: number): Record<string, number[]> {
  const names = Array.from({ length: layers }, (_, i) => [`present.${i}.key`, `present.${i}.value`]);
  return Object.fromEntries(names.flat().map((name) => [name, [1, K, T, D]]));
}

/**
 * A GroupQueryAttention a layer, whose output is added to a residual stream: by that a graph shows its layers. Lengths come
 * from the attention mask, as exports count them.
 * @throws AttuneError NO_ATTENTION
 */
async function factsOf({ H, K, D, layers }: Shape): Promise<ModelFacts> {
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
