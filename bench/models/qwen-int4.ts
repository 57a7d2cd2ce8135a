/**
 * The shape of Qwen2.5-0.5B in 4 bits: few layers' worth of wide matrices, 14 heads over 2. Its lm_head is not tied to
 * the embedding: tied random weights repeat one token.
 */
import type { DecoderConfig } from '../../testbed/builders/decoder-config.ts';
import { int4Folder } from './int4.ts';

/** huggingface.co/Qwen/Qwen2.5-0.5B, config.json; positions cut to what the benchmark needs. */
export const QWEN_05B: DecoderConfig = {
  modelType: 'qwen2',
  vocabSize: 151_936,
  hiddenSize: 896,
  intermediateSize: 4864,
  numLayers: 24,
  numHeads: 14,
  numKeyValueHeads: 2,
  headDim: 64,
  rmsNormEps: 1e-6,
  ropeTheta: 1_000_000,
  maxPositions: 4096,
  tieWordEmbeddings: false,
};

export const qwenInt4Folder = (): Promise<string> => int4Folder('qwen2.5-0.5b-int4', QWEN_05B);
