/** Streamed files against the same model assembled in memory. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { assemble, checkExternalFiles, encodeModel, openModel } from '../../onnx/index.ts';
import { buildDecoder } from './decoder.ts';
import { randomParameters } from './parameters.ts';
import { writeOnnx } from './write-onnx.ts';

const folder = mkdtempSync(join(tmpdir(), 'attune-write-'));
afterAll(() => rmSync(folder, { recursive: true }));

const config = {
  modelType: 'llama',
  vocabSize: 40,
  hiddenSize: 32,
  intermediateSize: 48,
  numLayers: 1,
  numHeads: 2,
  numKeyValueHeads: 1,
  headDim: 16,
  rmsNormEps: 1e-6,
  ropeTheta: 10000,
  maxPositions: 16,
  tieWordEmbeddings: true,
} as const;
const built = () => buildDecoder(config, randomParameters('write'), { form: 'gqa' });

test('one file: the bytes of the assembled model', async () => {
  const path = join(folder, 'single/model.onnx');
  const { model, source } = built();
  let progress = 0;
  await writeOnnx(
    path,
    { model, source },
    {
      onProgress: (bytes) => {
        progress = bytes;
      },
    },
  );
  const bytes = readFileSync(path);
  expect(bytes.equals(await assemble(encodeModel(model), source))).toBe(true);
  expect(progress).toBe(bytes.length);
  expect(readdirSync(join(folder, 'single'))).toEqual(['model.onnx']);
});

test('external data: every payload at its offset, aligned', async () => {
  const path = join(folder, 'external/model.onnx');
  const { model, source } = built();
  await writeOnnx(path, { model, source }, { externalData: 'model.onnx_data' });
  const data = readFileSync(join(folder, 'external/model.onnx_data'));
  const file = await openModel(path);
  checkExternalFiles(file.model, path);
  file.close();
  expect(file.model.graph.initializers).toHaveLength(model.graph.initializers.length);
  for (const [i, { payload }] of file.model.graph.initializers.entries()) {
    const original = model.graph.initializers[i]!.payload!;
    if (payload?.kind !== 'external' || original.kind !== 'inline' || original.piece instanceof Uint8Array) {
      throw new TypeError('a payload is not where this test expects it');
    }
    expect(payload.offset % 4096).toBe(0);
    const written = data.subarray(payload.offset, payload.offset + payload.length!);
    expect(written.equals(await source.read(original.piece))).toBe(true);
  }
});
