/** One small graph per form and spelling; near misses and things that only look like attention. */
import { describe, expect, test } from 'vitest';
import { DataType, makeAttribute, makeGraph, makeNode, makeValueInfo } from '../onnx/index.ts';
import { recognise, type Site } from './index.ts';
import { fusedModel, packedModel, Sketch } from './sketch.ts';

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

describe('fused operators', () => {
  test('P1a: packed GroupQueryAttention; sums of SkipSimplifiedLayerNormalization carry the stream', () => {
    const { sites, residual } = recognise(fusedModel());
    expect(
      sites.map(({ form, numHeads, kvHeads, headDim, layer }) => [form, numHeads, kvHeads, headDim, layer]),
    ).toEqual([
      ['P1a', 4, 2, 16, 0],
      ['P1a', 4, 2, 16, 1],
    ]);
    expect(sites[0]).toMatchObject({ causal: true, rotary: { by: 'operator', dim: 16 } });
    expect(residual[1]!.pre).toBe(residual[0]!.post);
    expect(residual[1]!.enable?.map(({ which, output }) => [which, output])).toEqual([['post', 3]]);
  });

  test('P1: kv_num_heads that does not divide num_heads is a near miss', () => {
    const model = fusedModel();
    const nodes = model.graph.nodes.map((node) =>
      node.opType === 'GroupQueryAttention'
        ? { ...node, attributes: [makeAttribute('num_heads', 4), makeAttribute('kv_num_heads', 3)] }
        : node,
    );
    const { sites, nearMisses } = recognise({ ...model, graph: { ...model.graph, nodes } });
    expect(sites).toEqual([]);
    expect(nearMisses[0]!.reason).toContain('4 is not a multiple of kv_num_heads 3');
  });

  test('P4: weights inside; unnamed sums can be enabled', () => {
    const { sites, residual } = recognise(packedModel());
    expect(sites[0]).toMatchObject({
      form: 'P4',
      numHeads: 2,
      headDim: 8,
      absent: ['q', 'k', 'v', 'scores', 'pattern'],
    });
    expect(residual[0]!.enable?.map(({ which }) => which)).toEqual(['mid', 'post']);
  });

  test('P3: widths of k and v may differ, the bias is inside', () => {
    const s = new Sketch();
    const x = s.input('x', ['B', 'S', X]);
    const projections = [X, X, 2 * X].map((width) => s.op('MatMul', [x, s.weight(X, width)]));
    s.output(
      s.op('com.microsoft.MultiHeadAttention', [...projections, s.weight(4 * X)], {
        num_heads: H,
        unidirectional: 1,
      }),
    );
    expect(only(s)).toMatchObject({
      form: 'P3',
      headDim: D,
      valueDim: 2 * D,
      causal: true,
      attention: 'self',
    });
  });

  test('P5: probabilities kept as fourth output are the pattern', () => {
    const s = new Sketch();
    const [q, k, v] = [
      s.input('q', ['B', H, 'S', D]),
      s.input('k', ['B', K, 'T', D]),
      s.input('v', ['B', K, 'T', D]),
    ];
    const [y, , , pattern] = s.many('Attention', [q, k, v], 4, { qk_matmul_output_mode: 3, is_causal: 1 });
    s.output(y!);
    expect(only(s, 23)).toMatchObject({
      form: 'P5',
      numHeads: H,
      kvHeads: K,
      pattern: { value: pattern },
      absent: ['scores'],
    });
  });
});

describe('refusals', () => {
  test.each([
    'BeamSearch',
    'DecoderMaskedMultiHeadAttention',
    'SparseAttention',
    'PagedAttention',
    'LongformerAttention',
  ])('com.microsoft.%s, by name and with a reason', (op) => {
    const s = new Sketch();
    s.output(s.op(`com.microsoft.${op}`, [s.input('x', ['B', 'S', X])]));
    const { sites, refused } = recognise(s.model());
    expect(sites).toEqual([]);
    expect(refused).toHaveLength(1);
    expect(refused[0]!.level).toBe('refuse');
    expect(refused[0]!.reason).toContain(op);
  });

  test('an unknown operator that calls itself attention', () => {
    const s = new Sketch();
    s.output(s.op('my.domain.FlashAttentionX', [s.input('x', ['B', 'S', X])]));
    expect(recognise(s.model()).refused[0]!.code).toBe('ATTENTION_UNKNOWN');
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
