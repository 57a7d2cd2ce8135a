import { expect, test } from 'vitest';
import { deepModel } from '../bench/graph/deep-model.ts';
import { recognise } from './index.ts';
import { fusedModel, Sketch } from './sketch.ts';

test('200 layers, each with its site and a complete residual layer', () => {
  const model = deepModel({ layers: 200 });
  expect(model.graph.nodes.length).toBeGreaterThan(10_000);
  const { sites, residual } = recognise(model);
  expect(sites.map(({ layer }) => layer)).toEqual(Array.from({ length: 200 }, (_, i) => i));
  residual.forEach((layer, i) => {
    expect(layer).toMatchObject({ layer: i, mid: `blocks.${i}.mid`, post: `blocks.${i}.post` });
    expect(layer).toMatchObject({ attnOut: `blocks.${i}.attn_out`, mlpOut: `blocks.${i}.mlp_out` });
    expect(layer.pre).toBe(i === 0 ? 'embedding' : `blocks.${i - 1}.post`);
  });
});

test('the configuration is compared with what was found', () => {
  const model = fusedModel();
  expect(recognise(model, { config: { num_hidden_layers: 2 } }).refused).toEqual([]);
  expect(recognise(model, { config: { text_config: { num_hidden_layers: 2 } } }).refused).toEqual([]);
  const [warning] = recognise(model, { config: { num_hidden_layers: 3 } }).refused;
  expect(warning).toMatchObject({ code: 'LAYER_COUNT', level: 'warn', node: 'file' });
  expect(warning!.reason).toContain('2 layers');
});

test('two towers have names, one has none', () => {
  expect(new Set(recognise(fusedModel()).sites.map(({ tower }) => tower))).toEqual(new Set(['']));

  const s = new Sketch();
  const [heads, width] = [2, 16];
  const attend = (x: string, memory: string) => {
    const split = (from: string) =>
      s.op(
        'Transpose',
        [s.op('Reshape', [s.op('MatMul', [from, s.weight(width, width)]), s.ints(0, 0, heads, 8)])],
        {
          perm: [0, 2, 1, 3],
        },
      );
    const keys = s.op('Transpose', [split(memory)], { perm: [0, 1, 3, 2] });
    const pattern = s.op('Softmax', [s.op('MatMul', [split(x), keys])], { axis: -1 });
    const z = s.op('Transpose', [s.op('MatMul', [pattern, split(memory)])], { perm: [0, 2, 1, 3] });
    return s.op('Add', [
      x,
      s.op('MatMul', [s.op('Reshape', [z, s.ints(0, 0, width)]), s.weight(width, width)]),
    ]);
  };
  const mlp = (x: string) => s.op('Add', [x, s.op('MatMul', [s.op('Relu', [x]), s.weight(width, width)])]);
  const picture = s.op('Conv', [s.input('pixel_values', ['B', 3, 32, 32]), s.weight(width, 3, 8, 8)]);
  const source = s.op('Reshape', [picture, s.ints(0, -1, width)]);
  const memory = mlp(attend(source, source));
  const x = s.op('Gather', [s.weight(9, width), s.input('input_ids', ['B', 'S'], 7)]);
  const self = attend(x, x);
  s.output(mlp(attend(self, memory)));
  const { sites, residual } = recognise(s.model());
  expect(sites.map(({ tower, layer, attention }) => [tower, layer, attention])).toEqual([
    ['encoder', 0, 'self'],
    ['decoder', 0, 'self'],
    ['decoder', 0, 'cross'],
  ]);
  const decoder = residual.find(({ tower }) => tower === 'decoder');
  expect(decoder).toMatchObject({ pre: x, mid: self });
  expect(decoder!.midCross).not.toBe(undefined);
  expect(decoder!.crossAttnOut).not.toBe(undefined);
});
