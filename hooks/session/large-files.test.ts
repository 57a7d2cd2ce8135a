/** Weights beyond 2 GiB live in external data; offsets past 2^31 must survive reading, editing and ONNX Runtime. */
import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import {
  assemble,
  DataType,
  encodeModel,
  externalFiles,
  makeGraph,
  makeModel,
  makeNode,
  makeValueInfo,
  openModel,
} from '../../onnx/index.ts';
import { bytesSource } from '../../onnx/source.ts';
import { createSession, loadRuntime } from './index.ts';

const folder = mkdtempSync(join(tmpdir(), 'attune-large-'));
afterAll(() => rmSync(folder, { recursive: true }));

const OFFSET = 2 ** 31 + 4096 * 7;

test('a tensor past 2 GiB of a second file is read from where it is', async () => {
  const weights = Float32Array.from({ length: 8 }, (_, i) => i + 0.5);
  // Sparse: the file takes a few blocks on disk.
  const fd = openSync(join(folder, 'model.onnx_data_1'), 'w');
  ftruncateSync(fd, OFFSET + weights.byteLength);
  writeSync(fd, new Uint8Array(weights.buffer), 0, weights.byteLength, OFFSET);
  closeSync(fd);
  const w = {
    name: 'w',
    dataType: DataType.FLOAT,
    dims: [8],
    payload: {
      kind: 'external',
      location: 'model.onnx_data_1',
      offset: OFFSET,
      length: weights.byteLength,
    } as const,
  };
  const graph = makeGraph('g', {
    inputs: [makeValueInfo('x', DataType.FLOAT, [8])],
    outputs: [makeValueInfo('y', DataType.FLOAT, [8])],
    initializers: [w],
    nodes: [makeNode('Add', ['x', 'w'], ['y'])],
  });
  const path = join(folder, 'model.onnx');
  writeFileSync(
    path,
    await assemble(encodeModel(makeModel(graph, { '': 17 })), bytesSource(new Uint8Array(0))),
  );
  const file = await openModel(path);
  expect(externalFiles(file.model)).toEqual(['model.onnx_data_1']);
  const runtime = await loadRuntime('node');
  await using session = await createSession(file, { model: file.model, sites: [] }, {}, { runtime });
  const x = new runtime.Tensor('float32', new Float32Array(8), [8]);
  expect((await session.run({ x })).y!.data).toEqual(weights);
  file.close();
});
