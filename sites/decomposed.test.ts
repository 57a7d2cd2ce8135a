/** Decomposed attention (P6) in small graphs: spellings, near misses, and things that only look like attention. */
import { describe, expect, test } from 'vitest';
import { DataType, makeGraph, makeNode, makeValueInfo, rawTensor } from '../onnx/index.ts';
import { recognise, type Site } from './index.ts';
import { Sketch } from './sketch.ts';

const [H, K, D] = [4, 2, 8];
const X = H * D;

interface Parts {
  readonly s: Sketch;
  readonly x: string;
  q: string;
  k: string;
  v: string;
}

/** q [B,H,S,D], k and v [B,H,T,D] of a layer with separate projections. */
function projected(opset?: number): Parts & { opset: number | undefined } {
  const s = new Sketch();
  const x = s.input('x', ['B', 'S', X]);
  const heads = () => {
    const split = s.op('Reshape', [s.op('MatMul', [x, s.weight(X, X)]), s.ints(0, 0, H, D)]);
    return s.op('Transpose', [split], { perm: [0, 2, 1, 3] });
  };
  return { s, x, q: heads(), k: heads(), v: heads(), opset };
}

const turned = (s: Sketch, k: string) => s.op('Transpose', [k], { perm: [0, 1, 3, 2] });

/** Softmax, product with v, output projection, residual sum. */
function finish({ s, x, v }: Parts, scores: string, axis = -1): void {
  const pattern = s.op('Softmax', [scores], { axis });
  const z = s.op('Transpose', [s.op('MatMul', [pattern, v])], { perm: [0, 2, 1, 3] });
  const out = s.op('MatMul', [s.op('Reshape', [z, s.ints(0, 0, X)]), s.weight(X, X)]);
  s.output(s.op('Add', [x, out]));
}

function only(s: Sketch, opset?: number): Site {
  const { sites, nearMisses } = recognise(s.model(opset));
  expect(nearMisses).toEqual([]);
  expect(sites).toHaveLength(1);
  return sites[0]!;
}

describe('P6: where the scale sits names the form', () => {
  const spellings: Record<string, [form: Site['form'], write: (parts: Parts) => string]> = {
    'Div on the scores': [
      'P6-eager',
      ({ s, q, k }) => s.op('Div', [s.op('MatMul', [q, turned(s, k)]), s.number(Math.sqrt(D))]),
    ],
    'Mul on the scores': [
      'P6-eager',
      ({ s, q, k }) => s.op('Mul', [s.op('MatMul', [q, turned(s, k)]), s.number(D ** -0.5)]),
    ],
    'roots on q and k': [
      'P6-sdpa',
      ({ s, q, k }) =>
        s.op('MatMul', [
          s.op('Mul', [q, s.number(D ** -0.25)]),
          s.op('Mul', [turned(s, k), s.number(D ** -0.25)]),
        ]),
    ],
    'on q': [
      'P6-qscaled',
      ({ s, q, k }) => s.op('MatMul', [s.op('Div', [q, s.number(D ** 0.5)]), turned(s, k)]),
    ],
    'alpha of FusedMatMul': [
      'P6-fusedmatmul',
      ({ s, q, k }) => s.op('com.microsoft.FusedMatMul', [q, k], { alpha: { float: D ** -0.5 }, transB: 1 }),
    ],
    'Einsum, scale on the scores': [
      'P6-eager',
      ({ s, q, k }) =>
        s.op('Mul', [s.op('Einsum', [q, k], { equation: 'bhqd,bhkd->bhqk' }), s.number(D ** -0.5)]),
    ],
    'a Sqrt node over a constant': [
      'P6-eager',
      ({ s, q, k }) => s.op('Div', [s.op('MatMul', [q, turned(s, k)]), s.op('Sqrt', [s.number(D)])]),
    ],
  };

  test.each(Object.entries(spellings))('%s', (_, [form, write]) => {
    const parts = projected();
    finish(parts, write(parts));
    const site = only(parts.s);
    expect(site).toMatchObject({
      form,
      numHeads: H,
      kvHeads: H,
      headDim: D,
      attention: 'self',
      causal: false,
    });
    expect(site.scale).toBeCloseTo(D ** -0.5, 6);
    expect(site.q.heads).toEqual({ value: parts.q, layout: 'BHSD' });
    expect(site.v.operand).toEqual({ value: parts.v, layout: 'BHSD' });
    expect(site.zFlat?.layout).toBe('BS(HD)');
  });
});

describe('P6: between the scores and the Softmax', () => {
  const raw = ({ s, q, k }: Parts) => s.op('MatMul', [q, turned(s, k)]);

  test('a soft cap is its constant, the scale stays apart', () => {
    const parts = projected();
    const { s } = parts;
    const capped = s.op('Tanh', [s.op('Div', [s.op('Mul', [raw(parts), s.number(0.5)]), s.number(30)])]);
    finish(parts, s.op('Mul', [capped, s.number(30)]));
    const site = only(s);
    expect(site.softcap).toBe(30);
    expect(site.scale).toBeCloseTo(0.5, 6);
  });

  test('a triangle made with Trilu is causal, an attention_mask alone is not', () => {
    const causal = projected();
    const triangle = causal.s.op('Trilu', [causal.s.weight(16, 16)], { upper: 1 });
    finish(causal, causal.s.op('Add', [raw(causal), triangle]));
    expect(only(causal.s).causal).toBe(true);

    const padded = projected();
    const { s } = padded;
    const flags = s.op('Unsqueeze', [s.input('attention_mask', ['B', 'S'], DataType.INT64), s.ints(1, 2)]);
    const hidden = s.op('Where', [s.op('Cast', [flags], { to: DataType.BOOL }), raw(padded), s.number(-1e9)]);
    finish(padded, hidden);
    const site = only(s);
    expect(site.causal).toBe(false);
    expect(site.causalBy).toContain('attention_mask');
    expect(site.masks.map(({ kind }) => kind)).toEqual(['select']);
  });

  test('a table per query given at run time decides then', () => {
    const parts = projected();
    finish(parts, parts.s.op('Add', [raw(parts), parts.s.input('bias', ['B', 1, 'S', 'T'])]));
    expect(only(parts.s).causal).toBe('data');
  });

  test('a sliding window is the distance in the position comparison', () => {
    const parts = projected();
    const { s } = parts;
    const positions = s.op('Range', [s.scalarInt(0), s.scalarInt(64), s.scalarInt(1)]);
    const queries = s.op('Unsqueeze', [positions, s.ints(1)]);
    const near = s.op('Greater', [positions, s.op('Sub', [queries, s.scalarInt(5)])]);
    const seen = s.op('And', [near, s.op('LessOrEqual', [positions, queries])]);
    finish(parts, s.op('Where', [seen, raw(parts), s.number(-1e9)]));
    expect(only(s)).toMatchObject({ causal: true, window: 5 });
  });

  test('below opset 13 the Softmax must be over the last axis', () => {
    const last = projected(11);
    finish(last, raw(last), 3);
    expect(only(last.s, 11).form).toBe('P6-eager');

    const flattened = projected(11);
    finish(flattened, raw(flattened), 1);
    const { sites, nearMisses } = recognise(flattened.s.model(11));
    expect(sites).toEqual([]);
    expect(nearMisses[0]).toMatchObject({ rule: 'decomposed' });
    expect(nearMisses[0]!.reason).toContain('axis 1');
  });
});

describe('P6: q, k and v', () => {
  test('kv heads repeated by Unsqueeze, Expand, Reshape are counted before', () => {
    const s = new Sketch();
    const x = s.input('x', ['B', 'S', X]);
    const heads = (count: number) => {
      const split = s.op('Reshape', [s.op('MatMul', [x, s.weight(X, count * D)]), s.ints(0, 0, count, D)]);
      return s.op('Transpose', [split], { perm: [0, 2, 1, 3] });
    };
    const repeated = (value: string) => {
      const wide = s.op('Expand', [s.op('Unsqueeze', [value, s.ints(2)]), s.ints(1, 1, H / K, 1, 1)]);
      return s.op('Reshape', [wide, s.ints(0, H, -1, D)]);
    };
    const [q, k, v] = [heads(H), heads(K), heads(K)];
    const joined = s.op('Concat', [s.input('past_k', ['B', K, 'P', D]), k], { axis: 2 });
    s.output(joined);
    const long = s.op('Concat', [s.input('past_v', ['B', K, 'P', D]), v], { axis: -2 });
    s.output(long);
    const values = repeated(long);
    finish({ s, x, q, k, v: values }, s.op('MatMul', [q, turned(s, repeated(joined))]));
    const site = only(s);
    expect(site).toMatchObject({ numHeads: H, kvHeads: K });
    expect(site.k).toMatchObject({
      heads: { value: k },
      withPast: { value: joined },
      final: { value: joined },
    });
    expect(site.v.repeated).toEqual({ value: values, layout: 'BHSD' });
    expect(site.past).toEqual({ k: 'past_k', v: 'past_v', layout: 'BHPD' });
    expect(site.present).toEqual({ k: joined, v: long, layout: 'BHPD' });
  });

  const unpackings: Record<string, (s: Sketch, qkv: string) => string[]> = {
    Split: (s, qkv) => s.many('Split', [qkv, s.ints(X, X, X)], 3, { axis: -1 }),
    Slice: (s, qkv) =>
      [0, 1, 2].map((i) => s.op('Slice', [qkv, s.ints(i * X), s.ints((i + 1) * X), s.ints(2)])),
  };
  test.each(Object.entries(unpackings))('packed projection taken apart by %s', (_, unpack) => {
    const s = new Sketch();
    const x = s.input('x', ['B', 'S', X]);
    const qkv = s.op('Add', [s.op('MatMul', [x, s.weight(X, 3 * X)]), s.weight(3 * X)]);
    const parts = unpack(s, qkv);
    const [q, k, v] = parts.map((part) =>
      s.op('Transpose', [s.op('Reshape', [part, s.ints(0, 0, H, D)])], { perm: [0, 2, 1, 3] }),
    ) as [string, string, string];
    finish({ s, x, q, k, v }, s.op('MatMul', [q, turned(s, k)]));
    const site = only(s);
    expect(site.q).toMatchObject({ packed: qkv, proj: { value: parts[0] }, heads: { value: q } });
    expect(site.attention).toBe('self');
  });

  test('packed heads first, taken apart by Gather', () => {
    const s = new Sketch();
    const x = s.input('x', ['B', 'S', X]);
    const qkv = s.op('MatMul', [x, s.weight(X, 3 * X)]);
    const five = s.op('Transpose', [s.op('Reshape', [qkv, s.ints(0, 0, 3, H, D)])], {
      perm: [2, 0, 3, 1, 4],
    });
    const [q, k, v] = [0, 1, 2].map((i) => s.op('Gather', [five, s.scalarInt(i)], { axis: 0 })) as [
      string,
      string,
      string,
    ];
    finish({ s, x, q, k, v }, s.op('MatMul', [q, turned(s, k)]));
    expect(only(s).k).toMatchObject({ packed: qkv, heads: { value: k, layout: 'BHSD' } });
  });

  test('keys from elsewhere make it cross-attention', () => {
    const s = new Sketch();
    const [x, memory] = [s.input('x', ['B', 'S', X]), s.input('memory', ['B', 'T', X])];
    const heads = (from: string) => {
      const split = s.op('Reshape', [s.op('MatMul', [from, s.weight(X, X)]), s.ints(0, 0, H, D)]);
      return s.op('Transpose', [split], { perm: [0, 2, 1, 3] });
    };
    const [q, k, v] = [heads(x), heads(memory), heads(memory)];
    finish({ s, x, q, k, v }, s.op('MatMul', [q, turned(s, k)]));
    expect(only(s).attention).toBe('cross');
  });

  test('three axes with heads in the batch', () => {
    const parts = projected();
    const { s } = parts;
    const flat = (value: string) => s.op('Reshape', [value, s.ints(-1, 7, D)]);
    const [q, k, v] = [flat(parts.q), flat(parts.k), flat(parts.v)];
    const scores = s.op('MatMul', [q, s.op('Transpose', [k], { perm: [0, 2, 1] })]);
    const z = s.op('MatMul', [s.op('Softmax', [scores], { axis: -1 }), v]);
    const back = s.op('Transpose', [s.op('Reshape', [z, s.ints(-1, H, 7, D)])], { perm: [0, 2, 1, 3] });
    s.output(s.op('MatMul', [s.op('Reshape', [back, s.ints(0, 0, X)]), s.weight(X, X)]));
    const site = only(s);
    expect(site).toMatchObject({ numHeads: H, headDim: D });
    expect(site.pattern?.layout).toBe('(BH)ST');
    expect(site.q).toMatchObject({ heads: { layout: 'BHSD' }, operand: { value: q, layout: '(BH)SD' } });
  });
});

describe('not attention', () => {
  const decoys: Record<string, (s: Sketch, x: string) => void> = {
    'a classifier head': (s, x) => s.output(s.op('Softmax', [s.op('MatMul', [x, s.weight(X, 5)])])),
    'an expert router': (s, x) => {
      const gates = s.op('Softmax', [s.op('MatMul', [x, s.weight(X, 4)])]);
      s.output(s.op('Mul', [gates, s.op('MatMul', [x, s.weight(X, 4)])]));
    },
    'weights applied to a weight': (s, x) => s.output(s.op('MatMul', [s.op('Softmax', [x]), s.weight(X, X)])),
    'two products without a Softmax': (s, x) => {
      const four = s.op('Reshape', [x, s.ints(0, 0, H, D)]);
      const scores = s.op('MatMul', [four, turned(s, four)]);
      s.output(s.op('MatMul', [s.op('Relu', [scores]), four]));
    },
  };
  test.each(Object.entries(decoys))('%s', (_, write) => {
    const s = new Sketch();
    write(s, s.input('x', ['B', 'S', X]));
    const { sites, refused } = recognise(s.model());
    expect(sites).toEqual([]);
    expect(refused.map(({ code, node }) => [code, node])).toEqual([['NO_ATTENTION', 'file']]);
  });

  test('half of an attention is a near miss with the missing half named', () => {
    const { s, q, k } = projected();
    s.output(s.op('Softmax', [s.op('MatMul', [q, turned(s, k)])]));
    expect(recognise(s.model()).nearMisses[0]!.reason).toContain('not multiplied with values');
  });
});

describe('P6: less common parts', () => {
  test('a learned sink is an extra column, cut off again', () => {
    const parts = projected();
    const { s, q, k, v, x } = parts;
    const sinks = s.op('Expand', [s.op('Reshape', [s.weight(H), s.ints(1, H, 1, 1)]), s.ints(1, H, 9, 1)]);
    const scores = s.op('MatMul', [q, turned(s, k)]);
    const joined = s.op('Concat', [scores, sinks], { axis: -1 });
    const stable = s.op('Sub', [joined, s.op('ReduceMax', [joined, s.ints(-1)])]);
    const pattern = s.op('Softmax', [stable], { axis: -1 });
    const kept = s.op('Slice', [pattern, s.ints(0), s.ints(-1), s.ints(3)]);
    const z = s.op('Transpose', [s.op('MatMul', [kept, v])], { perm: [0, 2, 1, 3] });
    s.output(s.op('Add', [x, s.op('MatMul', [s.op('Reshape', [z, s.ints(0, 0, X)]), s.weight(X, X)])]));
    expect(only(s)).toMatchObject({
      headSink: sinks,
      masks: [],
      scores: { value: scores },
      patternOperand: { value: kept },
    });
  });

  test('projections between QuantizeLinear and DequantizeLinear', () => {
    const s = new Sketch();
    const x = s.input('x', ['B', 'S', X]);
    const [step, zero] = [
      s.number(0.1),
      s.tensor(rawTensor('zero_point', DataType.UINT8, [], Uint8Array.of(0))),
    ];
    const rounded = (value: string) =>
      s.op('DequantizeLinear', [s.op('QuantizeLinear', [value, step, zero]), step, zero]);
    const linear = (value: string) => s.op('MatMul', [rounded(value), rounded(s.weight(X, X))]);
    const heads = () =>
      s.op('Transpose', [s.op('Reshape', [linear(x), s.ints(0, 0, H, D)])], { perm: [0, 2, 1, 3] });
    const [q, k, v] = [heads(), heads(), heads()];
    const pattern = s.op('Softmax', [s.op('MatMul', [q, turned(s, k)])], { axis: -1 });
    const z = s.op('Transpose', [s.op('MatMul', [rounded(pattern), v])], { perm: [0, 2, 1, 3] });
    const flat = s.op('Reshape', [z, s.ints(0, 0, X)]);
    const out = linear(flat);
    s.output(s.op('Add', [x, out]));
    expect(only(s)).toMatchObject({ attention: 'self', zFlat: { value: flat }, out });
    expect(recognise(s.model()).residual[0]).toMatchObject({ pre: 'x', attnOut: out });
  });

  test('interleaved rotary over some of the channels', () => {
    const s = new Sketch();
    const x = s.input('x', ['B', 'S', X]);
    const angles = s.op('MatMul', [
      s.op('Cast', [s.input('positions', ['S', 1], DataType.INT64)], { to: 1 }),
      s.weight(1, D / 2),
    ]);
    const [cos, sin] = ['Cos', 'Sin'].map((op) => s.op(op, [angles])) as [string, string];
    const cut = (value: string, from: number, to: number, step = 1) =>
      s.op('Slice', [value, s.ints(from), s.ints(to), s.ints(3), s.ints(step)]);
    const split = () => s.op('Reshape', [s.op('MatMul', [x, s.weight(X, X)]), s.ints(0, 0, H, D)]);
    const heads = (value: string) => s.op('Transpose', [value], { perm: [0, 2, 1, 3] });
    const rotate = (value: string) => {
      const low = cut(value, 0, D / 2);
      const pairs = [s.op('Neg', [cut(low, 1, D, 2)]), cut(low, 0, D, 2)].map((part) =>
        s.op('Unsqueeze', [part, s.ints(4)]),
      );
      const swapped = s.op('Reshape', [s.op('Concat', pairs, { axis: -1 }), s.ints(0, 0, 0, D / 2)]);
      const turning = s.op('Add', [s.op('Mul', [low, cos]), s.op('Mul', [swapped, sin])]);
      return s.op('Concat', [turning, cut(value, D / 2, D)], { axis: -1 });
    };
    const [q, k] = [heads(split()), heads(split())];
    const [turnedQ, turnedK] = [rotate(q), rotate(k)];
    finish({ s, x, q, k, v: heads(split()) }, s.op('MatMul', [turnedQ, turned(s, turnedK)]));
    const site = only(s);
    expect(site.rotary).toEqual({ by: 'decomposed', interleaved: true, dim: D / 2, cos, sin });
    expect(site.q).toMatchObject({ heads: { value: q }, rotated: { value: turnedQ } });
  });

  test('inside a Loop it is a site with a warning', () => {
    const body = projected();
    const { s, q, k, v } = body;
    const scores = s.op('MatMul', [q, turned(s, k)]);
    const z = s.op('MatMul', [s.op('Softmax', [scores], { axis: -1 }), v]);
    const x = s.inputs.pop()!;
    s.inputs.push(makeValueInfo('i', DataType.INT64, []), makeValueInfo('go', DataType.BOOL, []), x);
    s.outputs.push(makeValueInfo(s.op('Identity', ['go']), DataType.BOOL), makeValueInfo(z, DataType.FLOAT));
    const outer = new Sketch();
    const inputs = [outer.input('n', [], DataType.INT64), '', outer.input('x0', ['B', 'S', X])];
    outer.nodes.push(makeNode('Loop', inputs, ['last'], { attributes: { body: s.graph('body') } }));
    outer.output('last');
    const { sites, refused } = recognise(outer.model());
    expect(sites[0]!.scope.map(({ attribute }) => attribute)).toEqual(['body']);
    expect(refused.map(({ code, level }) => [code, level])).toEqual([['SITE_IN_LOOP', 'warn']]);
  });
});

test('both branches of an If are searched, with the way in', () => {
  const branch = (name: string) => {
    const { s, q, k, v } = projected();
    const x = s.inputs.pop()!;
    const scores = s.op('MatMul', [q, turned(s, k)]);
    const z = s.op('MatMul', [s.op('Softmax', [scores], { axis: -1 }), v]);
    const rename = (value: string) => (value === x.name ? 'x' : `${name}.${value}`);
    const graph = s.graph(name);
    return makeGraph(name, {
      nodes: graph.nodes.map((node) => ({
        ...node,
        inputs: node.inputs.map(rename),
        outputs: node.outputs.map(rename),
      })),
      initializers: graph.initializers.map((tensor) => ({ ...tensor, name: rename(tensor.name) })),
      inputs: [],
      outputs: [makeValueInfo(rename(z), DataType.FLOAT)],
    });
  };
  const s = new Sketch();
  s.input('x', ['B', 'S', X]);
  const condition = s.input('use_cache', [1], DataType.BOOL);
  s.nodes.push(
    makeNode('If', [condition], ['y'], {
      attributes: { then_branch: branch('then'), else_branch: branch('else') },
    }),
  );
  s.output('y');
  const { sites } = recognise(s.model());
  expect(sites.map(({ index, scope }) => [index, scope[0]!.node.opType, scope[0]!.attribute])).toEqual([
    [0, 'If', 'then_branch'],
    [1, 'If', 'else_branch'],
  ]);
});
