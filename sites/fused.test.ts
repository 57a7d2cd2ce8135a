/** Fused operators (P1, P3, P4, P5) in small graphs, and what is refused (P8). */
import { describe, expect, test } from 'vitest';
import { makeAttribute } from '../onnx/index.ts';
import { recognise, type Site } from './index.ts';
import { fusedModel, packedModel, Sketch } from './sketch.ts';

const [H, K, D] = [4, 2, 8];
const X = H * D;

function only(s: Sketch, opset?: number): Site {
  const { sites, nearMisses } = recognise(s.model(opset));
  expect(nearMisses).toEqual([]);
  expect(sites).toHaveLength(1);
  return sites[0]!;
}

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
