/** Options of the fused operators that are not modelled are known by name when points are located. */
import { expect, test } from 'vitest';
import { type AttributeValue, DataType } from '../onnx/index.ts';
import { recognise } from './index.ts';
import { locatePoints } from './points/index.ts';
import { Sketch } from './sketch.ts';

const [H, K, D] = [4, 2, 16];

/** @param more inputs from 12 on */
function groupQuery(
  attributes: Record<string, AttributeValue>,
  more: readonly (readonly number[])[] = [],
  keys: number | string = 'S',
) {
  const s = new Sketch();
  const inputs = [
    s.input('q', ['B', 'S', H * D]),
    s.input('k', ['B', keys, K * D]),
    s.input('v', ['B', keys, K * D]),
  ];
  const past = ['past_k', 'past_v'].map((name) => s.input(name, ['B', K, 'P', D]));
  const lengths = [s.input('lengths', ['B'], DataType.INT32), s.input('total', [], DataType.INT32)];
  const rest = more.map((dims) => (dims.length === 0 ? '' : s.weight(...dims)));
  const all = [...inputs, ...past, ...lengths, '', '', '', '', '', ...rest];
  const outputs = s.many('com.microsoft.GroupQueryAttention', all, 3, {
    num_heads: H,
    kv_num_heads: K,
    ...attributes,
  });
  for (const output of outputs) s.output(output);
  return recognise(s.model());
}

test.each<[string, Parameters<typeof groupQuery>]>([
  ['sliding_window_cache=1', [{ sliding_window_cache: 1, local_window_size: 4 }]],
  ['kv_cache_bit_width=8', [{ kv_cache_bit_width: 8 }, [[1], [1]]]],
  ['k_quant_type=PER_TENSOR', [{ k_quant_type: 'PER_TENSOR' }]],
  ['input q_norm_weight', [{}, [[], [], [D], [D]]]],
  ['no keys of its own', [{}, [], 0]],
  ['attribute unheard_of, which is not known', [{ unheard_of: 1 }]],
  ['causal=2', [{ causal: 2 }]],
])('%s: no scores and no pattern, with the reason; z stays', (reason, options) => {
  const recognition = groupQuery(...options);
  const points = new Map(locatePoints(recognition).map(({ kind, source }) => [kind, source]));
  for (const kind of ['hook_attn_scores', 'hook_pattern'] as const) {
    const source = points.get(kind)!;
    expect(source.from === 'nowhere' && source.reason).toContain(reason);
  }
  expect(points.get('hook_z')!.from).toBe('value');
  const [site] = recognition.sites;
  expect(site!.lacks!.probabilities).toContain(reason);
  expect(
    recognition.refused.filter(({ code, reason: told }) => code === 'SITE_LACKS' && told.includes(reason)),
  ).toHaveLength(1);
});

test('values that mean nothing are as if they were absent', () => {
  const { sites, refused } = groupQuery({
    softcap: { float: -1 },
    local_window_size: -1,
    causal: 1,
    smooth_softmax: -1,
  });
  expect(refused).toEqual([]);
  expect(sites[0]).toMatchObject({ softcap: undefined, window: undefined, causal: true, lacks: {} });
});

test('causal=0 is bidirectional: its pattern can be read, its probabilities not edited', () => {
  const { sites } = groupQuery({ causal: 0 });
  expect(sites[0]!.causal).toBe(false);
  expect(Object.keys(sites[0]!.lacks!)).toEqual(['probabilities']);
});

test('a mask of numbers that are not one for each row of the batch is told apart or refused', () => {
  const packed = (size: number | string) => {
    const s = new Sketch();
    const inputs = [
      s.input('x', ['B', 'S', 16]),
      s.weight(16, 48),
      s.weight(48),
      s.input('mask', [size], DataType.INT32),
    ];
    s.output(s.op('com.microsoft.Attention', inputs, { num_heads: 2 }));
    return recognise(s.model()).sites[0]!;
  };
  expect(packed('B').lacks).toEqual({});
  expect(packed('m').lacks!.pattern).toContain('[3B+2]');
});
