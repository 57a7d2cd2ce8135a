/**
 * Golden vectors of bounded caches, through the intervention's own calls: a decoder of one attention, whose queries, keys and values
 * are looked up by token, is run step by step under it, once with positions that it is given and once with places in the cache.
 */

import { compile } from '../../hooks/compile/index.ts';
import { modelFacts, type Pass, type RequestState } from '../../hooks/model/index.ts';
import { type Feeds, loadRuntime, type OrtTensor, startSession } from '../../hooks/session/index.ts';
import { anglesOf, Turns } from '../../interventions/keep-cache/turns.ts';
import { keepCache } from '../../interventions/keep-cache.ts';
import type { Comparison } from '../../kernels/golden/check.ts';
import type { GoldenCase } from '../../kernels/golden/index.ts';
import { rope, rotaryTables } from '../../kernels/reference/re-position.ts';
import { build, type Tensor, tensor } from '../../kernels/reference/tensor.ts';
import { emitter } from '../../onnx/emitter.ts';
import {
  assemble,
  DataType,
  encodeModel,
  floatTensor,
  type Model,
  makeGraph,
  makeModel,
  makeNode,
  makeValueInfo,
  openModel,
} from '../../onnx/index.ts';
import { bytesSource } from '../../onnx/source.ts';

type Content = Extract<GoldenCase, { family: 'streamingllm' }>['content'];
type Stream = Extract<Content, { kind: 'stream' }>;
type Rotation = Extract<Content, { kind: 'rotation' }>;

/** @returns undefined for other families */
export function checkBoundedCache(golden: GoldenCase): Promise<Comparison[]> | undefined {
  if (golden.family !== 'streamingllm') return undefined;
  const { content } = golden;
  if (content.kind === 'rotation') return Promise.resolve(movedKeys(content));
  return Promise.all(([true, false] as const).map((fed) => checkStream(content, fed))).then((all) =>
    all.flat(),
  );
}

/** Keys that were rotated already, moved as those of a cache are. */
function movedKeys({ config, expected }: Rotation): Comparison[] {
  return expected.map(({ oldPosition, newPosition, rotatedOld, rotatedNew }, i) => {
    const D = rotatedOld.data.length;
    const { cos, sin } = rotaryTables(rope(config.ropeBase, D), POSITIONS);
    const turns = new Turns(anglesOf(Float32Array.from(cos.data), Float32Array.from(sin.data), D / 2), false);
    const key = Float32Array.from(rotatedOld.data);
    turns.turn(key, 0, newPosition - oldPosition);
    return { name: `key ${i} moved`, actual: tensor([D], key), expected: tensor([D], rotatedNew.data) };
  });
}

async function checkStream({ config, inputs, expected }: Stream, fed: boolean): Promise<Comparison[]> {
  const { nSink, nRecent } = config;
  const before = expected.policy === 'evict_before';
  const intervention = keepCache({
    score: 'window',
    budget: nSink + nRecent,
    sinks: nSink,
    every: 1,
    when: before ? 'before' : 'after',
    positions: expected.relocate ? 'slots' : 'true',
  });
  const file = await openModel(
    await assemble(encodeModel(decoder(config, inputs, fed)), bytesSource(new Uint8Array())),
  );
  const facts = modelFacts(file, {});
  const { kind } = intervention;
  const plan = kind.plan(facts, kind.variant?.(intervention));
  const runtime = await loadRuntime('node');
  await using session = await startSession(file, compile(facts.recognition, plan), { runtime });
  const pass: Pass = (feeds, { knobs, reports } = {}) =>
    session.pass(feeds, { ...(knobs && { knobs }), ...(reports && { reports }) });
  const int64 = (values: readonly number[]): OrtTensor =>
    new runtime.Tensor('int64', BigInt64Array.from(values, BigInt), [1, values.length]);
  const width = fed ? inputs.k.shape[2]! : widened(inputs.k).shape[2]!;
  const empty = new runtime.Tensor('float32', new Float32Array(0), [1, inputs.k.shape[1]!, 0, width]);
  let past: Feeds = { 'past_key_values.0.key': empty, 'past_key_values.0.value': empty };
  let request: RequestState = { step: 0, past: 0, promptIds: undefined, imageSpans: [], spansHere: [] };
  const comparisons: Comparison[] = [];
  for (const [i, { newIds, out, cacheIdsAfter }] of expected.steps.entries()) {
    const tokens = request.past + newIds.length;
    const feeds: Feeds = {
      input_ids: int64(newIds),
      attention_mask: int64(Array<number>(tokens).fill(1)),
      ...(fed && { position_ids: int64(newIds) }),
      ...past,
    };
    const { outputs, cache } = await kind.run!(intervention as never, facts, request, feeds, pass);
    past = {
      'past_key_values.0.key': outputs['present.0.key']!,
      'past_key_values.0.value': outputs['present.0.value']!,
    };
    request = { ...request, step: i + 1, past: tokens, cache };
    const name = `${fed ? 'given positions' : 'places in the cache'}, step ${i}`;
    comparisons.push(
      { name: `out of ${name}`, actual: headsOf(outputs.logits!, out, width), expected: out },
      {
        name: `kept after ${name}`,
        actual: tensor([cacheIdsAfter.length], cache!.kept.columns),
        expected: tensor([cacheIdsAfter.length], cacheIdsAfter),
      },
    );
  }
  return comparisons;
}

/** Positions that the tables have. */
const POSITIONS = 65;

/** [new token][query head][dim] of what the decoder gave, [1, S, H·width]. */
function headsOf({ data }: OrtTensor, { shape }: Tensor, width: number): Tensor {
  const [S, H, D] = shape as [number, number, number];
  const D2 = D / 2;
  // Halves of a wider head lie apart.
  const at = (d: number) => (d < D2 ? d : d - D2 + width / 2);
  return build([S, H, D], (s, h, d) => (data as Float32Array)[(s! * H + h!) * width + at(d!)]!);
}

/** The CPU's operator rotates heads of 16 channels or more: halves are filled up with zeros, whose angles do not matter. */
function widened(x: Tensor): Tensor {
  const [T, N, D] = x.shape as [number, number, number];
  const width = Math.max(16, D);
  const [D2, W2] = [D / 2, width / 2];
  return build([T, N, width], (t, n, d) => {
    const inHalf = d! % W2;
    return inHalf < D2 ? x.data[(t! * N + n!) * D + (d! < W2 ? 0 : D2) + inHalf]! : 0;
  });
}

/** A decoder of one attention. */
function decoder({ ropeBase, scale }: Stream['config'], given: Stream['inputs'], fed: boolean): Model {
  const wide = fed ? given : { q: widened(given.q), k: widened(given.k), v: widened(given.v) };
  const [T, H, D] = wide.q.shape as [number, number, number];
  const K = wide.k.shape[1]!;
  const own = given.q.shape[2]! / 2;
  const small = rotaryTables(rope(ropeBase, given.q.shape[2]!), POSITIONS);
  const table = (of: Tensor) =>
    Array.from({ length: POSITIONS * (D / 2) }, (_, i) => {
      const [p, pair] = [Math.floor(i / (D / 2)), i % (D / 2)];
      return pair < own ? of.data[p * own + pair]! : 1;
    });
  const emit = emitter(21, 'model.');
  const looked = (name: string) => emit('Gather', [name, 'input_ids'], { axis: 0 }); // [1, S, N·D]
  const [q, k, v] = ['q', 'k', 'v'].map(looked) as [string, string, string];
  const z = (fed ? products : operator)({ emit, H, K, D, scale, q, k, v });
  emit.as('logits', 'Add', [emit('Mul', [q, emit.scalar(0)]), z]);
  const flat = (name: string, x: Tensor) => floatTensor(name, [...x.data], [T, x.shape[1]! * D]);
  const cache = ['B', K, 'P', D];
  const int = (name: string, ...dims: (string | number)[]) => makeValueInfo(name, DataType.INT64, dims);
  const float = (name: string, dims?: readonly (string | number)[]) =>
    makeValueInfo(name, DataType.FLOAT, dims);
  const graph = makeGraph('decoder', {
    nodes: emit.nodes,
    initializers: [
      flat('q', wide.q),
      flat('k', wide.k),
      flat('v', wide.v),
      floatTensor('cos', table(small.cos), [POSITIONS, D / 2]),
      floatTensor('sin', table(small.sin), [POSITIONS, D / 2]),
    ],
    inputs: [
      int('input_ids', 'B', 'S'),
      int('attention_mask', 'B', 'T'),
      ...(fed ? [int('position_ids', 'B', 'S')] : []),
      float('past_key_values.0.key', cache),
      float('past_key_values.0.value', cache),
    ],
    outputs: [float('logits'), float('present.0.key', cache), float('present.0.value', cache)],
  });
  return makeModel(graph, { '': 21, 'com.microsoft': 1 });
}

interface Parts {
  readonly emit: ReturnType<typeof emitter>;
  readonly H: number;
  readonly K: number;
  readonly D: number;
  readonly scale: number;
  readonly q: string;
  readonly k: string;
  readonly v: string;
}

/** GroupQueryAttention, which rotates by places in the cache. */
function operator({ emit, H, K, scale, q, k, v }: Parts): string {
  const real = emit('ReduceSum', ['attention_mask', emit.ints(1)], { keepdims: 0 });
  const seqlens = emit.cast(emit('Sub', [real, emit.int(1)]), DataType.INT32);
  const total = emit.cast(emit.reshape(emit.dim('attention_mask', 1), []), DataType.INT32);
  const attributes = { num_heads: H, kv_num_heads: K, scale: { float: scale }, do_rotary: 1 };
  const node = makeNode('com.microsoft.GroupQueryAttention', [], [], { attributes });
  const past = ['past_key_values.0.key', 'past_key_values.0.value'];
  const presents = ['present.0.key', 'present.0.value'];
  const [z] = emit.copy(node, [q, k, v, ...past, seqlens, total, 'cos', 'sin'], ['z', ...presents]);
  return z!;
}

/** Products and Softmax, rotated by position_ids. */
function products({ emit, H, K, D, scale, q, k, v }: Parts): string {
  const heads = (value: string, N: number) => emit.transpose(emit.reshape(value, [0, 0, N, D]), [0, 2, 1, 3]);
  const turned = (value: string) =>
    emit('com.microsoft.RotaryEmbedding', [value, 'position_ids', 'cos', 'sin']);
  const keys = emit.as('present.0.key', 'Concat', ['past_key_values.0.key', turned(heads(k, K))], {
    axis: 2,
  });
  const values = emit.as('present.0.value', 'Concat', ['past_key_values.0.value', heads(v, K)], { axis: 2 });
  const repeated = (value: string) => {
    const shape = emit.shape([{ of: value, axis: 0 }, K, H / K, { of: value, axis: 2 }, D]);
    const expanded = emit('Expand', [emit('Unsqueeze', [value, emit.ints(2)]), shape]);
    return emit.reshape(expanded, [0, H, -1, D]);
  };
  const raw = emit('MatMul', [turned(heads(q, H)), emit.transpose(repeated(keys), [0, 1, 3, 2])]);
  const [S, T] = [emit.dim('input_ids', 1), emit.dim('attention_mask', 1)];
  const row = emit('Add', [emit.reshape(emit.range(S), [-1, 1]), emit('Sub', [T, S])]);
  const later = emit('Greater', [emit.reshape(emit.range(T), [1, -1]), row]);
  const mask = emit('Where', [later, emit.scalar(-1e9), emit.scalar(0)]);
  const scaled = emit('Mul', [raw, emit.scalar(scale)]);
  const pattern = emit('Softmax', [emit('Add', [scaled, mask])], { axis: -1 });
  const z = emit.transpose(emit('MatMul', [pattern, repeated(values)]), [0, 2, 1, 3]);
  return emit.reshape(z, [0, 0, H * D]);
}
