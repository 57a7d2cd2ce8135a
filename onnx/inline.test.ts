import * as ort from 'onnxruntime-node';
import { describe, expect, test } from 'vitest';
import { makeAttribute, makeGraph, makeModel, makeNode, makeValueInfo } from './edit.ts';
import { assemble, encodeModel } from './encode.ts';
import { inlineFunctions } from './inline.ts';
import {
  type Attribute,
  AttributeType,
  type FunctionDef,
  type Graph,
  type Model,
  type Node,
} from './model.ts';
import { int64Tensor } from './tensor.ts';

const FLOAT = 1;
const X = makeValueInfo('x', FLOAT, ['N', 2]);
const Y = makeValueInfo('y', FLOAT, ['N', 2]);

function functionDef(
  name: string,
  parts: Partial<FunctionDef> & Pick<FunctionDef, 'inputs' | 'outputs' | 'nodes'>,
): FunctionDef {
  const opsetImports = [
    { domain: '', version: 17 },
    { domain: 'local', version: 1 },
  ];
  return {
    name,
    domain: 'local',
    overload: '',
    attributes: [],
    attributeDefaults: [],
    opsetImports,
    ...parts,
  };
}

/** An attribute that takes its value from the call. */
function reference(name: string, ref: string, type: number): Attribute {
  return { name, type, ref };
}

function withReference(node: Node, attribute: Attribute): Node {
  return { ...node, attributes: [...node.attributes, attribute] };
}

/** y = Softmax(scale · x), the axis given by the call and the scale by default. */
const scaledSoftmax = functionDef('ScaledSoftmax', {
  inputs: ['x'],
  outputs: ['y'],
  attributes: ['axis'],
  attributeDefaults: [{ name: 'scale', type: AttributeType.FLOAT, f: 2 }],
  nodes: [
    withReference(
      makeNode('Constant', [], ['scale']),
      reference('value_float', 'scale', AttributeType.FLOAT),
    ),
    makeNode('Mul', ['x', 'scale'], ['scaled']),
    withReference(makeNode('Softmax', ['scaled'], ['y']), reference('axis', 'axis', AttributeType.INT)),
  ],
});

/** Calls ScaledSoftmax twice. */
const twice = functionDef('Twice', {
  inputs: ['x'],
  outputs: ['y'],
  nodes: [
    makeNode('local.ScaledSoftmax', ['x'], ['once'], { attributes: { axis: -1 } }),
    makeNode('local.ScaledSoftmax', ['once'], ['y'], { attributes: { axis: 0, scale: { float: 0.5 } } }),
  ],
});

/** A body with a sub-graph that uses both its own and the function's values. */
const choose = functionDef('Choose', {
  inputs: ['x', 'flag'],
  outputs: ['y', 'same'],
  nodes: [
    makeNode('Neg', ['x'], ['minus']),
    makeNode('If', ['flag'], ['y'], {
      attributes: { then_branch: branch('Neg', 'minus'), else_branch: branch('Exp', 'minus') },
    }),
    makeNode('Identity', ['x'], ['same']),
  ],
});

function branch(op: string, from: string): Graph {
  return makeGraph(op, {
    nodes: [makeNode(op, [from], ['inner']), makeNode('Add', ['inner', 'x'], ['result'])],
    inputs: [],
    outputs: [makeValueInfo('result', FLOAT)],
  });
}

function model(nodes: readonly Node[], functions: readonly FunctionDef[], graph: Partial<Graph> = {}): Model {
  const whole = makeGraph('main', { nodes, inputs: [X], outputs: [Y], ...graph });
  return makeModel(whole, { '': 17, local: 1 }, { functions });
}

async function run(m: Model, names: readonly string[] = ['y']): Promise<number[]> {
  const nothing = { size: 0, name: 'nothing', read: async () => new Uint8Array(0), close() {} };
  const session = await ort.InferenceSession.create(await assemble(encodeModel(m), nothing));
  const feeds: Record<string, ort.Tensor> = { x: new ort.Tensor('float32', [0.5, -1, 2, 0.25], [2, 2]) };
  if (session.inputNames.includes('flag')) feeds.flag = new ort.Tensor('bool', [true], []);
  const results = await session.run(feeds);
  await session.release();
  return names.flatMap((name) => [...(results[name]!.data as Float32Array)]);
}

/** Runs both and asserts bit-identical results and that no call is left. */
async function expectSame(original: Model, names?: readonly string[]): Promise<Model> {
  const flat = inlineFunctions(original);
  expect(flat.functions).toEqual([]);
  const domains = new Set(flat.graph.nodes.map(({ domain }) => domain));
  expect(domains).not.toContain('local');
  expect(await run(flat, names)).toEqual(await run(original, names));
  return flat;
}

test('a model without functions is returned as it is', () => {
  const plain = model([makeNode('Neg', ['x'], ['y'])], []);
  expect(inlineFunctions(plain)).toBe(plain);
});

describe('ONNX Runtime computes the same from the expanded model', () => {
  test('attribute references and defaults', () =>
    expectSame(
      model([makeNode('local.ScaledSoftmax', ['x'], ['y'], { attributes: { axis: 1 } })], [scaledSoftmax]),
    ));

  test('functions that call functions, one body for two calls', async () => {
    const flat = await expectSame(model([makeNode('local.Twice', ['x'], ['y'])], [twice, scaledSoftmax]));
    const made = flat.graph.nodes.flatMap(({ outputs }) => outputs);
    expect(new Set(made).size).toBe(made.length);
    expect(flat.graph.nodes.filter(({ opType }) => opType === 'Softmax')).toHaveLength(2);
  });

  test('sub-graphs inside bodies', () => {
    const nodes = [makeNode('local.Choose', ['x', 'flag'], ['y', 'again'])];
    const inputs = [X, makeValueInfo('flag', 9, [])];
    const outputs = [Y, makeValueInfo('again', FLOAT, ['N', 2])];
    return expectSame(model(nodes, [choose], { inputs, outputs }), ['y', 'again']);
  });

  test('calls inside a sub-graph of the main graph', () => {
    const inside = (name: string) =>
      makeGraph(name, {
        nodes: [makeNode('local.ScaledSoftmax', ['x'], [`${name}_y`], { attributes: { axis: -1 } })],
        inputs: [],
        outputs: [makeValueInfo(`${name}_y`, FLOAT)],
      });
    const node = makeNode('If', ['flag'], ['y'], {
      attributes: { then_branch: inside('a'), else_branch: inside('b') },
    });
    const inputs = [X, makeValueInfo('flag', 9, [])];
    return expectSame(model([node], [scaledSoftmax], { inputs }));
  });

  test('an output that is an input', () => {
    const handed = functionDef('Hand', { inputs: ['a'], outputs: ['a'], nodes: [] });
    const flat = inlineFunctions(model([makeNode('local.Hand', ['x'], ['y'])], [handed]));
    expect(flat.graph.nodes.map(({ opType, inputs, outputs }) => [opType, inputs, outputs])).toEqual([
      ['Identity', ['x'], ['y']],
    ]);
  });

  test('omitted optional inputs stay omitted', () => {
    const clip = functionDef('Top', {
      inputs: ['v', 'low', 'high'],
      outputs: ['w'],
      nodes: [makeNode('Clip', ['v', 'low', 'high'], ['w'])],
    });
    return expectSame(model([makeNode('local.Top', ['x'], ['y'])], [clip]));
  });
});

test('names inside bodies do not collide with names outside', () => {
  const taken = int64Tensor('call/scaled', [1]);
  const node = makeNode('local.ScaledSoftmax', ['x'], ['y'], { name: 'call', attributes: { axis: -1 } });
  const flat = inlineFunctions(model([node], [scaledSoftmax], { initializers: [taken] }));
  const made = flat.graph.nodes.flatMap(({ outputs }) => outputs);
  expect(made).not.toContain('call/scaled');
  expect(made).toContain('y');
});

test('a function of another operator set version keeps its calls', () => {
  const older = { ...scaledSoftmax, opsetImports: [{ domain: '', version: 12 }] };
  const original = model(
    [makeNode('local.ScaledSoftmax', ['x'], ['y'], { attributes: { axis: -1 } })],
    [older],
  );
  const kept = inlineFunctions(original);
  expect(kept.functions).toEqual(original.functions);
  expect(kept.graph.nodes.map(({ opType }) => opType)).toEqual(['ScaledSoftmax']);
});

test('functions that call themselves are refused', () => {
  const endless = functionDef('Endless', {
    inputs: ['a'],
    outputs: ['b'],
    nodes: [{ ...makeNode('local.Endless', ['a'], ['b']), attributes: [makeAttribute('n', 1)] }],
  });
  expect(() => inlineFunctions(model([makeNode('local.Endless', ['x'], ['y'])], [endless]))).toThrow(
    'ONNX_MALFORMED',
  );
});
