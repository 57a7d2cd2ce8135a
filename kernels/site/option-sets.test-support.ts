/** One-operator models over the options of the fused attention operators' schemas, with feeds: seeded, so that a set can be repeated. */
import type { Feeds, Runtime } from '../../hooks/session/index.ts';
import {
  type AttributeValue,
  DataType,
  type Model,
  makeGraph,
  makeModel,
  makeNode,
  makeValueInfo,
  type ValueInfo,
} from '../../onnx/index.ts';

/** mulberry32. */
export function randomSource(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

export interface OptionSet {
  /** Operator and options, for messages. */
  readonly name: string;
  readonly model: Model;
  readonly feeds: Feeds;
  readonly B: number;
  readonly S: number;
  readonly H: number;
  readonly K: number;
  readonly D: number;
  /** Rows of each batch row that are no right padding. */
  readonly rows: readonly number[];
}

interface Value {
  readonly type: number;
  readonly dims: readonly number[];
  readonly data: Float32Array | Int32Array | BigInt64Array | Uint8Array;
}

const [H, D] = [4, 16];

class Draft {
  readonly values = new Map<string, Value>();
  readonly attributes: Record<string, AttributeValue> = {};
  readonly random: () => number;
  readonly runtime: Runtime;

  constructor(random: () => number, runtime: Runtime) {
    this.random = random;
    this.runtime = runtime;
  }

  pick<T>(values: readonly T[]): T {
    return values[Math.floor(this.random() * values.length)]!;
  }

  chance(): boolean {
    return this.random() < 0.4;
  }

  /** Numbers in [−1.5, 1.5). */
  floats(name: string, ...dims: number[]): string {
    const count = dims.reduce((a, b) => a * b, 1);
    const data = Float32Array.from({ length: count }, () => 3 * this.random() - 1.5);
    this.values.set(name, { type: DataType.FLOAT, dims, data });
    return name;
  }

  ints(name: string, data: readonly number[], dims: readonly number[] = [data.length]): string {
    this.values.set(name, { type: DataType.INT32, dims, data: Int32Array.from(data) });
    return name;
  }

  set(
    op: string,
    inputs: readonly string[],
    outputs: readonly string[],
    size: Omit<OptionSet, 'name' | 'model' | 'feeds'>,
  ): OptionSet {
    const symbols = (dims: readonly number[]) =>
      dims.map((dim, axis) => (axis === 0 && dim === size.B ? 'B' : dim));
    const node = makeNode(op, inputs, outputs, { name: 'attention', attributes: this.attributes });
    const infos: ValueInfo[] = [...this.values].map(([name, { type, dims }]) =>
      makeValueInfo(name, type, symbols(dims)),
    );
    const graph = makeGraph('options', {
      nodes: [node],
      inputs: infos,
      outputs: outputs.map((name) => makeValueInfo(name, DataType.FLOAT)),
    });
    const names: Record<number, string> = {
      [DataType.FLOAT]: 'float32',
      [DataType.INT32]: 'int32',
      [DataType.INT64]: 'int64',
      [DataType.BOOL]: 'bool',
    };
    const feeds = Object.fromEntries(
      [...this.values].map(([name, { type, dims, data }]) => [
        name,
        new this.runtime.Tensor(names[type] as 'float32', data as Float32Array, dims),
      ]),
    );
    const options = Object.entries(this.attributes).map(([key, value]) => `${key}=${JSON.stringify(value)}`);
    const name = `${op}(${inputs.filter(Boolean).join(', ')}) ${options.join(' ')} B=${size.B} S=${size.S}`;
    return { name, model: makeModel(graph, { '': 23, 'com.microsoft': 1 }), feeds: feeds as Feeds, ...size };
  }
}

function groupQuery(d: Draft): OptionSet {
  const K = d.pick([1, 2, 4]);
  const P = d.chance() ? 3 : 0;
  const S = d.pick([1, 3, 6]);
  const B = P > 0 && S > 1 ? 1 : d.pick([1, 2]);
  const padded = P === 0 && B === 2 && S > 1 && d.chance();
  const totals = Array.from({ length: B }, (_, b) => P + S - (padded && b === 1 ? 2 : 0));
  const packed = d.chance();
  const rotary = d.chance();
  Object.assign(d.attributes, { num_heads: H, kv_num_heads: K });
  if (d.chance()) d.attributes.scale = { float: 0.4 };
  if (d.chance()) d.attributes.softcap = { float: d.pick([-1, 0, 2]) };
  const window = d.chance() ? d.pick([-1, 0, 1, 2, 4]) : undefined;
  if (window !== undefined) d.attributes.local_window_size = window;
  else if (d.chance()) d.attributes.causal = 0;
  if (d.chance()) d.attributes.smooth_softmax = d.pick([0, 1]);
  if (rotary) Object.assign(d.attributes, { do_rotary: 1, rotary_interleaved: d.pick([0, 1]) });
  const qkv = packed
    ? [d.floats('qkv', B, S, (H + 2 * K) * D), '', '']
    : [d.floats('q', B, S, H * D), d.floats('k', B, S, K * D), d.floats('v', B, S, K * D)];
  const past = [d.floats('past_k', B, K, P, D), d.floats('past_v', B, K, P, D)];
  const lengths = [
    d.ints(
      'seqlens',
      totals.map((total) => total - 1),
    ),
    d.ints('total', [P + S], []),
  ];
  const tables = rotary ? [d.floats('cos', 16, D / 2), d.floats('sin', 16, D / 2)] : ['', ''];
  const bias = d.chance() ? d.floats('bias', d.pick([1, B]), d.pick([1, H]), S, P + S) : '';
  const sink = d.attributes.smooth_softmax === undefined && d.chance() ? d.floats('sink', H) : '';
  const inputs = [...qkv, ...past, ...lengths, ...tables, '', bias, sink];
  const rows = totals.map((total) => total - P);
  return d.set('com.microsoft.GroupQueryAttention', inputs, ['z', 'present_k', 'present_v'], {
    B,
    S,
    H,
    K,
    D,
    rows,
  });
}

/** Flags of real keys: somewhere, or none at all. */
function padding(d: Draft, name: string, B: number, T: number): string {
  const flags = Array.from({ length: B * T }, () => (d.chance() ? 0 : 1));
  return d.ints(name, flags, [B, T]);
}

function multiHead(d: Draft): OptionSet {
  const [B, S] = [d.pick([1, 2]), d.pick([1, 3, 6])];
  const causal = d.chance();
  const T = causal ? S : d.pick([S, 5]);
  Object.assign(d.attributes, { num_heads: H });
  if (causal) d.attributes.unidirectional = 1;
  if (d.chance()) d.attributes.scale = { float: 0.4 };
  if (d.chance()) d.attributes.mask_filter_value = { float: d.pick([-2, -10000]) };
  const qkv = [d.floats('q', B, S, H * D), d.floats('k', B, T, H * D), d.floats('v', B, T, H * D)];
  const inner = d.chance() ? d.floats('inner', 3 * H * D) : '';
  const mask = d.chance() ? padding(d, 'mask', B, T) : '';
  const bias = d.chance() ? d.floats('bias', d.pick([1, B]), d.pick([1, H]), S, T) : '';
  return d.set('com.microsoft.MultiHeadAttention', [...qkv, inner, mask, bias], ['z'], {
    B,
    S,
    H,
    K: H,
    D,
    rows: new Array(B).fill(S),
  });
}

function packedWeights(d: Draft): OptionSet {
  const [B, S, X] = [d.pick([1, 2]), d.pick([1, 3, 6]), 24];
  Object.assign(d.attributes, { num_heads: H });
  if (d.chance()) d.attributes.unidirectional = 1;
  if (d.chance()) d.attributes.scale = { float: 0.4 };
  if (d.chance()) d.attributes.mask_filter_value = { float: d.pick([-2, -10000]) };
  const inputs = [d.floats('x', B, S, X), d.floats('weights', X, 3 * H * D), d.floats('inner', 3 * H * D)];
  const mask = d.chance()
    ? padding(d, 'mask', B, S)
    : d.chance()
      ? d.ints(
          'lengths',
          Array.from({ length: B }, () => Math.max(1, S - 1)),
        )
      : '';
  const bias = d.chance() ? d.floats('bias', d.pick([1, B]), d.pick([1, H]), S, S) : '';
  return d.set('com.microsoft.Attention', [...inputs, mask, '', bias], ['z'], {
    B,
    S,
    H,
    K: H,
    D,
    rows: new Array(B).fill(S),
  });
}

function standard(d: Draft): OptionSet {
  const [B, S, K] = [d.pick([1, 2]), d.pick([1, 3, 6]), d.pick([1, 2, 4])];
  const T = d.pick([S, 5]);
  const merged = d.chance();
  if (merged) Object.assign(d.attributes, { q_num_heads: H, kv_num_heads: K });
  if (d.chance()) d.attributes.is_causal = 1;
  if (d.chance()) d.attributes.scale = { float: 0.4 };
  if (d.chance()) d.attributes.softcap = { float: d.pick([0, 2]) };
  const heads = (name: string, rows: number, N: number) =>
    merged ? d.floats(name, B, rows, N * D) : d.floats(name, B, N, rows, D);
  const inputs = [heads('q', S, H), heads('k', T, K), heads('v', T, K)];
  const mask = d.chance() ? d.floats('mask', S, T) : '';
  if (mask && d.chance()) {
    const flags = Uint8Array.from({ length: S * T }, () => (d.chance() ? 0 : 1));
    d.values.set('mask', { type: DataType.BOOL, dims: [S, T], data: flags });
  }
  return d.set('Attention', [...inputs, mask], ['z'], { B, S, H, K, D, rows: new Array(B).fill(S) });
}

const OPERATORS = [groupQuery, multiHead, packedWeights, standard];

export function optionSet(seed: number, runtime: Runtime): OptionSet {
  return OPERATORS[seed % OPERATORS.length]!(new Draft(randomSource(seed * 7919 + 13), runtime));
}
