/**
 * A float32 decoder of 1.2 GB in one file, weights inline, to time instrumenting: 24 layers of 12 parameters,
 * embedding and norm, 290 in all, beside the rotary tables and lm_head.
 */
import { buildDecoder } from '../../testbed/builders/decoder.ts';
import type { DecoderConfig } from '../../testbed/builders/decoder-config.ts';
import { randomParameters } from '../../testbed/builders/parameters.ts';
import { writeOnnx } from '../../testbed/builders/write-onnx.ts';
import { cached } from './cache.ts';

const SINGLE_FILE: DecoderConfig = {
  modelType: 'qwen2',
  vocabSize: 2048,
  hiddenSize: 896,
  intermediateSize: 4096,
  numLayers: 24,
  numHeads: 14,
  numKeyValueHeads: 2,
  headDim: 64,
  rmsNormEps: 1e-6,
  ropeTheta: 1_000_000,
  maxPositions: 2048,
  tieWordEmbeddings: false,
};

/** Path of the .onnx file. */
export function singleFileModel(): Promise<string> {
  return cached('single-file-1.2gb/onnx/model.onnx', async (path, onProgress) => {
    const decoder = buildDecoder(SINGLE_FILE, randomParameters('single-file-1.2gb'), { form: 'gqa' });
    await writeOnnx(path, decoder, { onProgress });
  });
}
