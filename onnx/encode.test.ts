import { fileURLToPath } from 'node:url';
import * as ort from 'onnxruntime-node';
import protobuf from 'protobufjs';
import { describe, expect, test } from 'vitest';
import {
  assemble,
  changeGraph,
  changeModel,
  changeNode,
  DataType,
  encodeModel,
  floatTensor,
  int64Tensor,
  type Model,
  makeGraph,
  makeModel,
  makeNode,
  makeValueInfo,
  openModel,
  rawTensor,
} from './index.ts';
import { bytesSource } from './source.ts';

const schema = protobuf.loadSync(fileURLToPath(new URL('./conformance/onnx.proto', import.meta.url)));
const ModelProto = schema.lookupType('onnx.Model');

async function bytesOf(model: Model): Promise<Uint8Array> {
  return assemble(encodeModel(model), bytesSource(new Uint8Array(0)));
}

/** y = If(c, relu(x·w), x·w) with every kind of attribute somewhere. */
function sample(): Model {
  const branch = (name: string, op: string) =>
    makeGraph(name, {
      inputs: [],
      outputs: [makeValueInfo(`${name}_y`, DataType.FLOAT, ['n', 3])],
      nodes: [makeNode(op, ['xw'], [`${name}_y`])],
    });
  const graph = makeGraph('main', {
    inputs: [makeValueInfo('x', DataType.FLOAT, ['n', 2]), makeValueInfo('c', DataType.BOOL, [])],
    outputs: [makeValueInfo('y', DataType.FLOAT, ['n', 3])],
    initializers: [floatTensor('w', [1, -2, 3, -4, 5, -6], [2, 3])],
    nodes: [
      makeNode('Gemm', ['x', 'w'], ['xw'], { attributes: { alpha: { float: 0.5 }, transB: 0 } }),
      makeNode('If', ['c'], ['y'], {
        attributes: { then_branch: branch('then', 'Relu'), else_branch: branch('else', 'Identity') },
      }),
    ],
  });
  return makeModel(graph, { '': 17 });
}

describe('written bytes', () => {
  test('are what a general protobuf library reads', async () => {
    const model = changeModel(sample(), {
      metadata: new Map([['key', 'välue']]),
      functions: [
        {
          name: 'double',
          domain: 'attune',
          overload: '',
          inputs: ['a'],
          outputs: ['b'],
          attributes: ['alpha'],
          attributeDefaults: [],
          nodes: [makeNode('Add', ['a', 'a'], ['b'])],
          opsetImports: [{ domain: '', version: 17 }],
        },
      ],
    });
    const read = ModelProto.toObject(ModelProto.decode(await bytesOf(model)), { longs: Number });
    expect(read.irVersion).toBe(10);
    expect(read.opsetImport).toEqual([{ version: 17 }]);
    expect(read.metadataProps).toEqual([{ key: 'key', value: 'välue' }]);
    expect(read.graph.node.map((node: { opType: string }) => node.opType)).toEqual(['Gemm', 'If']);
    expect(read.graph.node[0].attribute).toEqual([
      { name: 'alpha', f: 0.5, type: 1 },
      { name: 'transB', type: 2 },
    ]);
    expect(read.graph.node[1].attribute[0].g.node[0].opType).toBe('Relu');
    expect(read.graph.initializer[0].dims).toEqual([2, 3]);
    expect(Array.from(new Float32Array(read.graph.initializer[0].rawData.slice().buffer))).toEqual([
      1, -2, 3, -4, 5, -6,
    ]);
    expect(read.functions[0]).toMatchObject({
      name: 'double',
      domain: 'attune',
      input: ['a'],
      attribute: ['alpha'],
    });
  });

  test('negative and huge integers survive both ways', async () => {
    const node = makeNode('Test', [], ['y'], { attributes: { ints: [-1, 2 ** 40, -(2 ** 50)], one: -7 } });
    const model = makeModel(makeGraph('g', { nodes: [node], inputs: [], outputs: [] }), { '': 17 });
    const bytes = await bytesOf(model);
    const read = ModelProto.toObject(ModelProto.decode(bytes), { longs: Number });
    expect(read.graph.node[0].attribute[0].ints).toEqual([-1, 2 ** 40, -(2 ** 50)]);
    const back = await openModel(bytes);
    expect(back.model.graph.nodes[0]?.attributes.map((a) => a.ints ?? a.i)).toEqual([
      [-1, 2 ** 40, -(2 ** 50)],
      -7,
    ]);
  });

  test('run in ONNX Runtime, sub-graphs included', async () => {
    const session = await ort.InferenceSession.create(await bytesOf(sample()));
    const x = new ort.Tensor('float32', [1, 1], [1, 2]);
    const run = async (c: boolean) => {
      const { y } = await session.run({ x, c: new ort.Tensor('bool', [c], []) });
      return Array.from(y!.data as Float32Array);
    };
    expect(await run(false)).toEqual([-1.5, 1.5, -1.5]);
    expect(await run(true)).toEqual([0, 1.5, 0]);
  });
});

describe('a model that was read', () => {
  test('is written back byte for byte, whichever library wrote it', async () => {
    const object = ModelProto.fromObject({
      irVersion: 8,
      opsetImport: [{ version: 13 }],
      graph: {
        name: 'g',
        node: [{ opType: 'Relu', input: ['x'], output: ['y'], docString: 'kept though not interpreted' }],
        input: [
          { name: 'x', type: { tensorType: { elemType: 1, shape: { dim: [{ dimParam: 'n' }, {}] } } } },
        ],
        initializer: [
          { name: 'w', dataType: 7, dims: [400], int64Data: Array.from({ length: 400 }, (_, i) => i - 200) },
        ],
      },
    });
    const bytes = Uint8Array.from(ModelProto.encode(object).finish());
    const file = await openModel(bytes);
    expect(await assemble(encodeModel(file.model), file.source)).toEqual(bytes);
    expect(file.model.graph.inputs[0]?.shape).toEqual(['n', undefined]);
  });

  test('keeps unknown fields of what is changed', async () => {
    const object = ModelProto.fromObject({
      irVersion: 8,
      opsetImport: [{ version: 13 }],
      graph: { name: 'g', node: [{ opType: 'Relu', input: ['x'], output: ['y'], docString: 'why' }] },
    });
    // Field 100 (varint 5) at the end of the model, which no version of ONNX defines.
    const bytes = Uint8Array.from([...ModelProto.encode(object).finish(), 0xa0, 0x06, 0x05]);
    const { model, source } = await openModel(bytes);
    const node = changeNode(model.graph.nodes[0]!, { inputs: ['z'] });
    const changed = changeModel(model, { graph: changeGraph(model.graph, { nodes: [node] }) });
    const written = await assemble(encodeModel(changed), source);
    expect([...written.slice(-3)]).toEqual([0xa0, 0x06, 0x05]);
    const read = ModelProto.toObject(ModelProto.decode(written), { longs: Number });
    expect(read.graph.node[0]).toMatchObject({ input: ['z'], docString: 'why' });
  });

  test('leaves large payloads in place and small ones in memory', async () => {
    const big = rawTensor(
      'big',
      DataType.INT8,
      [5000],
      Uint8Array.from({ length: 5000 }, (_, i) => i),
    );
    const graph = makeGraph('g', {
      nodes: [],
      inputs: [],
      outputs: [],
      initializers: [big, int64Tensor('small', [1, 2])],
    });
    const bytes = await bytesOf(makeModel(graph, { '': 17 }));
    const { model } = await openModel(bytes);
    const [first, second] = model.graph.initializers;
    expect(first?.payload).toMatchObject({ kind: 'inline', piece: { length: 5000 } });
    const { offset } = (first!.payload as { piece: { offset: number } }).piece;
    expect([...bytes.slice(offset, offset + 3)]).toEqual([0, 1, 2]);
    expect(second?.payload).toMatchObject({ piece: new Uint8Array(new BigInt64Array([1n, 2n]).buffer) });
  });
});
