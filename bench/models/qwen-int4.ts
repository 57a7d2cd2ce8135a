/**
 * A model of the shape of Qwen2.5-0.5B in 4 bits with random weights, to time what attune adds to a real decoder.
 *
 * Every matrix product has the size and format of the Hub's model_q4.onnx (MatMulNBits, blocks of 32), attention
 * is GroupQueryAttention with do_rotary = 1. Three differences that do not change the work of a layer: the
 * embedding is in 4 bits too (GatherBlockQuantized; the Hub keeps 545 MB of float32 there, of which a token reads
 * one row), lm_head is not tied to it (tied random weights repeat one token), and generation computes the last
 * row of logits only (num_logits_to_keep, as in recent exports), so that prefill times attention and layers and
 * not a 152,000-column copy for every token.
 */
import { dirname, join } from 'node:path';
import { buildDecoder } from '../../testbed/builders/decoder.ts';
import { type DecoderConfig, hubConfig } from '../../testbed/builders/decoder-config.ts';
import { writeHubFolder } from '../../testbed/builders/hub-folder.ts';
import { randomParameters } from '../../testbed/builders/parameters.ts';
import { cached } from './cache.ts';

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

/** Folder for `AutoModelForCausalLM.from_pretrained(folder, { dtype: 'q4' })`; there is no tokenizer. */
export async function qwenInt4Folder(): Promise<string> {
  const file = await cached('qwen2.5-0.5b-int4/onnx/model_q4.onnx', async (path, onProgress) => {
    await writeHubFolder(dirname(dirname(path)), {
      config: hubConfig(QWEN_05B),
      // Nothing ends a run before max_new_tokens.
      generationConfig: { pad_token_id: 0 },
      decoder: buildDecoder(QWEN_05B, randomParameters('qwen2.5-0.5b-int4'), {
        form: 'gqa',
        weights: { kind: 'int4', blockSize: 32, accuracyLevel: 4 },
        embedding: 'int4',
        numLogitsToKeep: true,
      }),
      dtype: 'q4',
      onProgress,
    });
  });
  return join(dirname(file), '..');
}
