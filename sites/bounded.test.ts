/** Files made to be hostile: recognition answers in time linear in the graph, or with a typed error. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  assemble,
  constantTensor,
  DataType,
  encodeModel,
  type FunctionDef,
  inlineFunctions,
  makeAttribute,
  makeGraph,
  makeModel,
  makeNode,
  makeValueInfo,
  openModel,
} from '../onnx/index.ts';
import { type Content, evaluate } from './arithmetic.ts';
import { type Dim, type Shape, symbol } from './dims.ts';
import { recognise } from './index.ts';
import type { ShapeOperands } from './shape-rule.ts';
import { outputShapes } from './shape-rules.ts';
import { Sketch } from './sketch.ts';

const INT64_MAX = 2n ** 63n - 1n;

const OPERATORS = [
  ...[
    'Transpose',
    'Reshape',
    'Flatten',
    'Unsqueeze',
    'Squeeze',
    'Concat',
    'Split',
    'Slice',
    'Gather',
    'Expand',
  ],
  ...[
    'Tile',
    'Pad',
    'Add',
    'MatMul',
    'FusedMatMul',
    'MatMulNBits',
    'Gemm',
    'ReduceSum',
    'Einsum',
    'Shape',
    'Size',
  ],
  ...['ConstantOfShape', 'Range', 'Conv', 'GroupQueryAttention', 'MultiHeadAttention', 'Attention', 'Where'],
  ...['Cast', 'Div', 'Mul', 'Mod', 'Pow', 'Equal', 'ReduceProd', 'Sub', 'Max', 'SkipLayerNormalization'],
];

const odd = fc.constantFrom(
  0,
  1,
  -1,
  2,
  3,
  7,
  64,
  0.5,
  -0.5,
  NaN,
  Infinity,
  -Infinity,
  2 ** 31,
  2 ** 63,
  -(2 ** 63),
);
const dim = fc.oneof(
  fc.constantFrom<Dim>('B', '?x:0', '(P+S)', '2*B'),
  fc.constantFrom<Dim>(0, 1, 2, 16, 2 ** 52),
);
const shapes = fc.option(fc.array(dim, { maxLength: 6 }), { nil: undefined });
const contents = fc.option(
  fc.array(fc.oneof(odd, fc.constantFrom<Dim | undefined>('B', '(P+S)', undefined)), { maxLength: 6 }),
  { nil: undefined },
);

test('every shape rule, and every rule of contents, answers whatever a file says', () => {
  const attribute = fc.oneof(
    odd.filter(Number.isInteger).map((i) => ({ i })),
    fc.array(odd, { maxLength: 6 }).map((ints) => ({ ints })),
    fc
      .constantFrom('ab,bc->ac', '->', 'a', '...a,a->a', ',->x')
      .map((text) => ({ s: new TextEncoder().encode(text) })),
  );
  const names = [
    'axis',
    'axes',
    'perm',
    'shape',
    'split',
    'num_outputs',
    'starts',
    'ends',
    'keepdims',
    'equation',
  ];
  names.push(
    'num_heads',
    'kv_num_heads',
    'q_num_heads',
    'qkv_hidden_sizes',
    'N',
    'transA',
    'transB',
    'start',
    'end',
    'to',
  );
  const attributes = fc.array(fc.tuple(fc.constantFrom(...names), attribute), { maxLength: 4 });
  fc.assert(
    fc.property(
      fc.constantFrom(...OPERATORS),
      fc.constantFrom('', 'com.microsoft'),
      fc.array(fc.record({ shape: shapes, content: contents }), { maxLength: 5 }),
      attributes,
      (opType, domain, inputs, given) => {
        const node = {
          ...makeNode(
            opType,
            inputs.map((_, i) => `x${i}`),
            ['y', 'z'],
          ),
          domain,
          attributes: given.map(([name, value]) => ({ name, type: 0, ...value })),
        };
        const operands: ShapeOperands = {
          shape: (i) => inputs[i]?.shape as Shape | undefined,
          content: (i) => inputs[i]?.content as Content | undefined,
          ints: (i, name) => {
            const content =
              inputs[i]?.content ?? node.attributes.find((one) => one.name === name && 'ints' in one);
            return Array.isArray(content) && content.every((x) => typeof x === 'number')
              ? content
              : undefined;
          },
          fill: () => 0,
          integral: () => false,
          unknown: (output, axis) => symbol(`?${output}:${axis}`),
        };
        for (const shape of outputShapes(node, operands) ?? []) expect(shape?.length ?? 0).toBeLessThan(70);
        expect(evaluate(node, operands)?.length ?? 0).toBeLessThan(65);
      },
    ),
    { numRuns: 1500, seed: 7 },
  );
});

test('a chain of Gathers that doubles its rank is refused', () => {
  const s = new Sketch();
  let x = s.input('x', [2, 2], DataType.INT64);
  for (let i = 0; i < 40; i++) x = s.op('Gather', [x, x]);
  s.output(x);
  expect(() => recognise(s.model())).toThrow(/ONNX_MALFORMED.*axes but expected at most 32/s);
});

test('a perm that is none is refused', () => {
  const s = new Sketch();
  s.output(s.op('Transpose', [s.input('x', ['B', 2, 3])], { perm: [2 ** 31 - 1, 1, 0] }));
  expect(() => recognise(s.model())).toThrow('ONNX_MALFORMED');
});

test('sizes that multiply with themselves stay short', () => {
  const s = new Sketch();
  let size = s.op('Shape', [s.input('x', ['B', 'S', 'M'])]);
  for (let i = 0; i < 64; i++) size = s.op('Mul', [size, size]);
  s.output(size);
  expect(recognise(s.model()).sites).toEqual([]);
});

test('a chain of If nodes that hand a value through is walked once', () => {
  const s = new Sketch();
  const condition = s.input('condition', [1], DataType.BOOL);
  let x = s.input('x', ['B', 4, 8, 16]);
  for (let i = 0; i < 60; i++) {
    const branch = (side: string) =>
      makeGraph(`${side}${i}`, {
        nodes: [makeNode('Identity', [x], [`${side}${i}`])],
        inputs: [],
        outputs: [makeValueInfo(`${side}${i}`, DataType.FLOAT)],
      });
    x = s.op('If', [condition], { then_branch: branch('t'), else_branch: branch('e') });
  }
  const pattern = s.op('Softmax', [s.op('MatMul', [x, x])], { axis: -1 });
  s.output(s.op('MatMul', [pattern, x]));
  expect(recognise(s.model()).nearMisses.length + recognise(s.model()).sites.length).toBeLessThan(3);
});

test('2^63 − 1 is itself after functions are expanded, and in constants', async () => {
  const ends = { ...makeAttribute('value_ints', [0]), ints: [2 ** 63], exact: { ints: [INT64_MAX] } };
  const body = [
    makeNode('Constant', [], ['starts'], { attributes: { value_ints: [0] } }),
    { ...makeNode('Constant', [], ['ends']), attributes: [{ name: 'value_ints', type: 7, ref: 'ends' }] },
    makeNode('Slice', ['x', 'starts', 'ends'], ['y']),
  ];
  const crop: FunctionDef = {
    ...{ name: 'Crop', domain: 'local', overload: '', inputs: ['x'], outputs: ['y'], attributes: ['ends'] },
    ...{ attributeDefaults: [], nodes: body, opsetImports: [{ domain: '', version: 17 }] },
  };
  const call = { ...makeNode('local.Crop', ['x'], ['y']), attributes: [{ ...ends, name: 'ends' }] };
  const graph = makeGraph('g', {
    nodes: [call],
    inputs: [makeValueInfo('x', DataType.FLOAT, ['n'])],
    outputs: [makeValueInfo('y', DataType.FLOAT, ['n'])],
  });
  const model = { ...makeModel(graph, { '': 17, local: 1 }), functions: [crop] };
  const nothing = { size: 0, name: 'nothing', read: async () => new Uint8Array(0), close() {} };
  const read = await openModel(await assemble(encodeModel(model), nothing));
  const flat = await openModel(await assemble(encodeModel(inlineFunctions(read.model)), nothing));
  const end = flat.model.graph.nodes.find(({ outputs }) => outputs[0]!.endsWith('ends'))!;
  const payload = constantTensor(end)!.payload;
  const bytes = payload?.kind === 'inline' && payload.piece instanceof Uint8Array ? payload.piece : undefined;
  expect(new BigInt64Array(bytes!.slice().buffer)[0]).toBe(INT64_MAX);
  expect(end.attributes[0]!.exact?.ints).toEqual([INT64_MAX]);
});
