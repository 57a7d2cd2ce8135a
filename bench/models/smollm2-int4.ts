/**
 * The shape of SmolLM2-135M in 4 bits: a real small model, in which attention and the count of nodes weigh more than in
 * a wide one. 30 layers, 9 heads over 3.
 */
import type { DecoderConfig } from '../../testbed/builders/decoder-config.ts';
import { int4Folder } from './int4.ts';

/** huggingface.co/HuggingFaceTB/SmolLM2-135M, config.json. */
export const SMOLLM2_135M: DecoderConfig = {
  modelType: 'llama',
  vocabSize: 49_152,
  hiddenSize: 576,
  intermediateSize: 1536,
  numLayers: 30,
  numHeads: 9,
  numKeyValueHeads: 3,
  headDim: 64,
  rmsNormEps: 1e-5,
  ropeTheta: 100_000,
  maxPositions: 8192,
  tieWordEmbeddings: true,
};

export const smolLm2Int4Folder = (): Promise<string> => int4Folder('smollm2-135m-int4', SMOLLM2_135M);
