/** Blocks that feed each other are one stream, and what almost was attention is never left unsaid. */
import { expect, test } from 'vitest';
import { DataType } from '../onnx/index.ts';
import { recognise } from './index.ts';
import { Sketch } from './sketch.ts';

const [H, D] = [2, 8];
const X = H * D;

function attention(s: Sketch, x: string): string {
  const heads = () => {
    const split = s.op('Reshape', [s.op('MatMul', [x, s.weight(X, X)]), s.ints(0, 0, H, D)]);
    return s.op('Transpose', [split], { perm: [0, 2, 1, 3] });
  };
  const [q, k, v] = [heads(), s.op('Transpose', [heads()], { perm: [0, 1, 3, 2] }), heads()];
  const z = s.op('MatMul', [s.op('Softmax', [s.op('MatMul', [q, k])], { axis: -1 }), v]);
  return s.op('MatMul', [
    s.op('Reshape', [s.op('Transpose', [z], { perm: [0, 2, 1, 3] }), s.ints(0, 0, X)]),
    s.weight(X, X),
  ]);
}

/** Pre-norm layers; `between` stands after every sum. */
function layers(between: (s: Sketch, x: string) => string): Sketch {
  const s = new Sketch();
  const normed = (x: string) => s.op('LayerNormalization', [x, s.weight(X), s.weight(X)]);
  let x = s.op('Gather', [s.weight(9, X), s.input('input_ids', ['B', 'S'], DataType.INT64)]);
  for (let layer = 0; layer < 3; layer++) {
    x = between(s, s.op('Add', [x, attention(s, normed(x))]));
    const mlp = s.op('MatMul', [s.op('Relu', [s.op('MatMul', [normed(x), s.weight(X, X)])]), s.weight(X, X)]);
    x = between(s, s.op('Add', [x, mlp]));
  }
  s.output(s.op('MatMul', [normed(x), s.weight(X, 9)]));
  return s;
}

test.each<[string, (s: Sketch, x: string) => string]>([
  ['nothing', (_, x) => x],
  ['a clamp', (s, x) => s.op('Clip', [x, s.number(-60000), s.number(60000)])],
  ['a mask on tokens', (s, x) => s.op('Mul', [x, s.op('Cast', [s.ints(1)], { to: 1 })])],
  [
    'a mask given at run time',
    (s, x) =>
      s.op('Mul', [
        x,
        s.inputs.some(({ name }) => name === 'mask') ? 'mask' : s.input('mask', ['B', 'S', 1]),
      ]),
  ],
  ['a choice', (s, x) => s.op('Where', [s.op('IsInf', [x]), s.number(0), x])],
])('with %s between the blocks, they are one stream of three layers', (_, between) => {
  const { sites, residual, refused } = recognise(layers(between).model());
  expect(sites.map(({ tower, layer }) => [tower, layer])).toEqual([
    ['', 0],
    ['', 1],
    ['', 2],
  ]);
  expect(residual.map(({ mid, mlpOut, post }) => [mid, mlpOut, post].every(Boolean))).toEqual([
    true,
    true,
    true,
  ]);
  expect(refused).toEqual([]);
});

test('an attention that almost matched is refused beside those that did, and the part is named', () => {
  const s = layers((_, x) => x);
  const x = s.input('other', ['B', H, 'S', D]);
  const pattern = s.op('Softmax', [s.op('MatMul', [x, s.op('Transpose', [x], { perm: [0, 1, 3, 2] })])], {
    axis: 1,
  });
  s.output(s.op('MatMul', [pattern, x]));
  const { sites, refused } = recognise(s.model());
  expect(sites).toHaveLength(3);
  expect(refused.map(({ code }) => code)).toEqual(['NEAR_MISS', 'ATTENTION_PARTIAL']);
  expect(refused[1]!.reason).toContain('3 of 4');
});
