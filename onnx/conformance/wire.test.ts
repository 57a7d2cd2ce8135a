/** Files made by Python's onnx, and what its reader sees in them, against ours. */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import {
  type Attribute,
  AttributeType,
  assemble,
  changeGraph,
  changeModel,
  changeNode,
  checkExternalFiles,
  dataTypeName,
  encodeModel,
  externalFiles,
  type Graph,
  type Node,
  openModel,
  type Tensor,
  tensorValues,
} from '../index.ts';
import type { ByteSource } from '../source.ts';

const FOLDER = join(dirname(fileURLToPath(import.meta.url)), '../../testbed/fixtures/wire');

interface ExpectedTensor {
  name: string;
  dtype: string;
  dims: number[];
  storage: 'raw' | 'typed' | 'external' | 'string' | 'none';
  byteLength?: number;
  sha256?: string;
  external?: { location: string; offset?: string; length?: string };
}
interface ExpectedAttribute {
  name: string;
  type: string;
  value?: unknown;
  tensor?: ExpectedTensor;
  graph?: ExpectedGraph;
}
interface ExpectedNode {
  opType: string;
  domain: string;
  name: string;
  overload: string;
  inputs: string[];
  outputs: string[];
  attributes: ExpectedAttribute[];
}
interface ExpectedGraph {
  name: string;
  inputs: string[];
  outputs: string[];
  nodes: ExpectedNode[];
  initializers: ExpectedTensor[];
  sparseInitializers: { values: ExpectedTensor }[];
}
interface Expected extends Record<string, unknown> {
  irVersion: number;
  producerName: string;
  modelVersion: number;
  docString: string;
  opsets: Record<string, number>;
  metadata: Record<string, string>;
  graph: ExpectedGraph;
  functions: {
    name: string;
    domain: string;
    overload: string;
    inputs: string[];
    attributes: string[];
    nodes: ExpectedNode[];
  }[];
  unknownFields?: { bytes: string }[];
}

const expected = JSON.parse(readFileSync(join(FOLDER, 'expected.json'), 'utf8')) as Record<string, Expected>;

function compareGraph(graph: Graph, want: ExpectedGraph, source: ByteSource): void {
  expect(graph.name).toBe(want.name);
  expect(graph.inputs.map(({ name }) => name)).toEqual(want.inputs);
  expect(graph.outputs.map(({ name }) => name)).toEqual(want.outputs);
  compareNodes(graph.nodes, want.nodes, source);
  expect(graph.initializers.map(({ name }) => name)).toEqual(want.initializers.map(({ name }) => name));
  graph.initializers.forEach((tensor, i) => {
    compareTensor(tensor, want.initializers[i]!, source);
  });
  expect(graph.sparseInitializers).toEqual(want.sparseInitializers.map(({ values }) => values.name));
}

function compareNodes(nodes: readonly Node[], want: readonly ExpectedNode[], source: ByteSource): void {
  const shape = ({ opType, domain, name, overload, inputs, outputs }: Omit<Node, 'attributes'>) => {
    return { opType, domain, name, overload, inputs, outputs };
  };
  expect(nodes.map(shape)).toEqual(want.map((node) => shape(node as never)));
  nodes.forEach((node, i) => {
    const attributes = want[i]!.attributes;
    expect(node.attributes.map(({ name }) => name)).toEqual(attributes.map(({ name }) => name));
    node.attributes.forEach((attribute, j) => {
      compareAttribute(attribute, attributes[j]!, source);
    });
  });
}

function compareAttribute(attribute: Attribute, want: ExpectedAttribute, source: ByteSource): void {
  expect(attribute.type, want.name).toBe((AttributeType as Record<string, number>)[want.type]);
  if (want.tensor) compareTensor(attribute.t!, want.tensor, source);
  if (want.graph) compareGraph(attribute.g!, want.graph, source);
  if (want.type === 'FLOAT' && want.value !== undefined)
    expect(attribute.f).toBeCloseTo(want.value as number, 6);
  if (want.type === 'INT' && want.value !== undefined) expect(attribute.i).toBe(want.value);
  if (want.type === 'INTS' && want.value !== undefined) expect(attribute.ints).toEqual(want.value);
  if (want.type === 'STRING' && typeof want.value === 'string') {
    expect(new TextDecoder().decode(attribute.s)).toBe(want.value);
  }
}

function compareTensor(tensor: Tensor, want: ExpectedTensor, source: ByteSource): void {
  expect(dataTypeName(tensor.dataType), want.name).toBe(want.dtype.toLowerCase());
  expect(tensor.dims, want.name).toEqual(want.dims);
  const { payload } = tensor;
  if (want.storage === 'external') {
    expect(payload).toMatchObject({ kind: 'external', location: want.external!.location });
    if (payload?.kind !== 'external') return;
    const file = readFileSync(join(FOLDER, payload.location));
    const bytes = file.subarray(payload.offset, payload.length ? payload.offset + payload.length : undefined);
    expect(sha256(bytes.subarray(0, want.byteLength)), want.name).toBe(want.sha256);
  } else if (want.storage === 'raw') {
    if (payload?.kind !== 'inline') throw new Error(`${want.name} has no inline payload`);
    const bytes = payload.piece instanceof Uint8Array ? payload.piece : source.readSync!(payload.piece);
    expect(sha256(bytes), want.name).toBe(want.sha256);
  } else if (want.storage === 'typed') {
    const values = tensorValues(tensor, source);
    const count = want.dims.reduce((product, dim) => product * dim, 1);
    if (values) expect(values.length, want.name).toBeGreaterThanOrEqual(count);
    if (values && want.dtype === 'FLOAT')
      expect(sha256(Float32Array.from(values)), want.name).toBe(want.sha256);
    if (values && want.dtype === 'INT64') {
      expect(sha256(BigInt64Array.from(values, BigInt)), want.name).toBe(want.sha256);
    }
  }
}

function sha256(data: NodeJS.ArrayBufferView): string {
  return createHash('sha256').update(data).digest('hex');
}

test('every file of the folder is expected', () => {
  const files = readdirSync(FOLDER).filter((name) => name.endsWith('.onnx'));
  expect(files.sort()).toEqual(Object.keys(expected).sort());
});

describe.each(Object.keys(expected))('%s', (name) => {
  const want = expected[name]!;
  const path = join(FOLDER, name);

  test("reads as Python's onnx reads it", async () => {
    const { model, source, close } = await openModel(path);
    expect(model).toMatchObject({
      irVersion: want.irVersion,
      producerName: want.producerName,
      modelVersion: want.modelVersion,
    });
    expect(model.docString).toBe(want.docString);
    expect(Object.fromEntries(model.opsetImports.map(({ domain, version }) => [domain, version]))).toEqual(
      want.opsets,
    );
    expect(Object.fromEntries(model.metadata)).toEqual(want.metadata);
    compareGraph(model.graph, want.graph, source);
    expect(
      model.functions.map(({ name, domain, overload, inputs, attributes }) => ({
        name,
        domain,
        overload,
        inputs,
        attributes,
      })),
    ).toEqual(
      want.functions.map(({ name, domain, overload, inputs, attributes }) => ({
        name,
        domain,
        overload,
        inputs,
        attributes,
      })),
    );
    model.functions.forEach((fn, i) => {
      compareNodes(fn.nodes, want.functions[i]!.nodes, source);
    });
    close();
  });

  test('is written back byte for byte, and after an edit still has its unknown fields', async () => {
    const { model, source, close } = await openModel(path);
    expect(Buffer.from(await assemble(encodeModel(model), source)).equals(readFileSync(path))).toBe(true);
    const nodes = model.graph.nodes.map((node) => changeNode(node, { name: `${node.name}_edited` }));
    const edited = changeModel(model, { graph: changeGraph(model.graph, { nodes }) });
    const bytes = Buffer.from(await assemble(encodeModel(edited), source));
    for (const { bytes: unknown } of want.unknownFields ?? []) {
      expect(bytes.includes(Buffer.from(unknown, 'hex')), unknown).toBe(true);
    }
    const again = await openModel(new Uint8Array(bytes));
    expect(again.model.graph.nodes.map((node) => node.name)).toEqual(nodes.map((node) => node.name));
    close();
  });
});

test('external files are listed, checked, and missed by name', async () => {
  const { model, close } = await openModel(join(FOLDER, 'external_parts.onnx'));
  expect(externalFiles(model)).toEqual(['external_parts.onnx_data', 'external_parts.onnx_data_1']);
  checkExternalFiles(model, join(FOLDER, 'external_parts.onnx'));
  const empty = join(FOLDER, 'nowhere');
  expect(existsSync(empty)).toBe(false);
  expect(() => checkExternalFiles(model, join(empty, 'model.onnx'))).toThrow(
    /EXTERNAL_DATA_MISSING.*external_parts\.onnx_data/,
  );
  close();
});
