import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import * as ort from 'onnxruntime-node';
import { afterAll, describe, expect, test } from 'vitest';
import { AttuneError } from '../errors.ts';
import {
  assemble,
  DataType,
  encodeModel,
  floatTensor,
  graft,
  type Model,
  makeGraph,
  makeModel,
  makeNode,
  makeValueInfo,
  openModel,
  type Tensor,
  tensorValues,
} from './index.ts';
import { bytesSource } from './source.ts';

const folder = mkdtempSync(join(tmpdir(), 'attune-open-'));
afterAll(() => rmSync(folder, { recursive: true }));

async function bytesOf(model: Model): Promise<Uint8Array> {
  return assemble(encodeModel(model), bytesSource(new Uint8Array(0)));
}

/** y = x + w with 4,096 weights. */
function adder(payload?: Tensor['payload']): Model {
  const inline = floatTensor(
    'w',
    Float32Array.from({ length: 4096 }, (_, i) => i / 7),
  );
  const w = payload ? { ...inline, payload } : inline;
  const graph = makeGraph('g', {
    inputs: [makeValueInfo('x', DataType.FLOAT, [4096])],
    outputs: [makeValueInfo('y', DataType.FLOAT, [4096])],
    initializers: [w],
    nodes: [makeNode('Add', ['x', 'w'], ['y'])],
  });
  return makeModel(graph, { '': 17 });
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => undefined,
    (cause) => cause,
  );
  expect(error).toBeInstanceOf(AttuneError);
  return (error as AttuneError).code;
}

describe('openModel', () => {
  test('reads the same model from a path, bytes and a Blob', async () => {
    const bytes = await bytesOf(adder());
    const path = join(folder, 'adder.onnx');
    writeFileSync(path, bytes);
    for (const from of [path, bytes, new Blob([Uint8Array.from(bytes)])]) {
      const file = await openModel(from);
      expect(file.model.graph.nodes.map((node) => node.opType)).toEqual(['Add']);
      expect(file.bytesRead).toBeLessThan(bytes.length / 2);
      expect(await assemble(encodeModel(file.model), file.source)).toEqual(bytes);
      file.close();
    }
  });

  test('a graft refers to the weights and ONNX Runtime computes the same bits from it', async () => {
    const bytes = await bytesOf(adder());
    const path = join(folder, 'graft.onnx');
    writeFileSync(path, bytes);
    const file = await openModel(path);
    const grafted = await assemble(graft(file.model, 'graft.onnx'), file.source);
    expect(grafted.length).toBeLessThan(1000);
    const x = new ort.Tensor('float32', Float32Array.from({ length: 4096 }, Math.sin), [4096]);
    const plain = await ort.InferenceSession.create(path);
    const spliced = await ort.InferenceSession.create(grafted, {
      extra: { session: { model_external_initializers_file_folder_path: folder } },
    });
    expect((await spliced.run({ x })).y?.data).toEqual((await plain.run({ x })).y?.data);
  });

  test('errors name what is wrong', async () => {
    const bytes = await bytesOf(adder());
    expect(await codeOf(openModel(join(folder, 'absent.onnx')))).toBe('FILE_NOT_FOUND');
    expect(await codeOf(openModel(folder))).toBe('FILE_UNREADABLE');
    expect(await codeOf(openModel(new Uint8Array(0)))).toBe('ONNX_EMPTY');
    expect(
      await codeOf(openModel(new TextEncoder().encode('version https://git-lfs.github.com/spec/v1\n'))),
    ).toBe('ONNX_LFS_POINTER');
    expect(await codeOf(openModel(bytes.slice(0, bytes.length - 100)))).toBe('ONNX_TRUNCATED');
    expect(
      await codeOf(openModel(new TextEncoder().encode('<!doctype html><html><body>404</body></html>'))),
    ).toMatch(/^ONNX_(MALFORMED|TRUNCATED)$/);
    expect(await codeOf(openModel(await bytesOf({ ...adder(), irVersion: 99 })))).toBe('ONNX_VERSION');
    expect(
      await codeOf(openModel(await bytesOf({ ...adder(), opsetImports: [{ domain: '', version: 5 }] }))),
    ).toBe('ONNX_VERSION');
  });

  test('a truncated file is told with the byte position', async () => {
    const bytes = await bytesOf(adder());
    await expect(openModel(bytes.slice(0, 60), 'half.onnx')).rejects.toThrow(/half\.onnx, byte \d+/);
  });

  test('any prefix, and any flipped bit, gives a model or a typed error', async () => {
    const bytes = await bytesOf(adder());
    await fc.assert(
      fc.asyncProperty(fc.nat(bytes.length), fc.nat(600), fc.nat(7), async (cut, at, bit) => {
        const damaged = Uint8Array.from(bytes.subarray(0, cut));
        if (at < damaged.length) damaged[at] = damaged[at]! ^ (1 << bit);
        await openModel(damaged).catch((error) => {
          if (!(error instanceof AttuneError)) throw error;
        });
      }),
      { numRuns: 500 },
    );
  });
});

describe('tensorValues', () => {
  test('reads every spelling of the same numbers', async () => {
    const varints = (values: number[]) => Uint8Array.from(values);
    const of = (dataType: number, field: number, piece: Uint8Array, count: number) =>
      tensorValues({ name: 't', dataType, dims: [count], payload: { kind: 'inline', field, piece } });
    expect(of(DataType.INT64, 7, varints([1, 2, 3]), 3)).toEqual([1, 2, 3]);
    expect(of(DataType.FLOAT16, 5, varints([0x80, 0x78]), 1)).toEqual([1]);
    expect(of(DataType.FLOAT16, 9, Uint8Array.from([0, 0xbc, 1, 0]), 2)).toEqual([-1, 2 ** -24]);
    expect(of(DataType.BOOL, 9, varints([1, 0]), 2)).toEqual([1, 0]);
    expect(of(DataType.BFLOAT16, 9, Uint8Array.from([0x80, 0x3f]), 1)).toEqual([1]);
  });

  test('a payload shorter than its dims is an error', () => {
    const short = { kind: 'inline', field: 9, piece: new Uint8Array(4) } as const;
    expect(() => tensorValues({ name: 't', dataType: 1, dims: [2], payload: short })).toThrow(
      /t.*1 elements.*2/,
    );
  });
});
