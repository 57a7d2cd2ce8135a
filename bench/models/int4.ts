/**
 * A decoder with random weights in the format of the Hub's model_q4.onnx, as a Hub folder: every matrix product is
 * MatMulNBits in blocks of 32, attention is GroupQueryAttention with do_rotary = 1.
 *
 * Two differences that do not change the work of a layer: the embedding is in 4 bits too (GatherBlockQuantized; the
 * Hub keeps float32 there, of which a token reads one row), and generation computes the last row of logits only
 * (num_logits_to_keep, as in recent exports), so that prefill times attention and layers and not a row of logits for
 * every token.
 */
import { dirname, join } from 'node:path';
import { buildDecoder } from '../../testbed/builders/decoder.ts';
import { type DecoderConfig, hubConfig } from '../../testbed/builders/decoder-config.ts';
import { writeHubFolder } from '../../testbed/builders/hub-folder.ts';
import { randomParameters } from '../../testbed/builders/parameters.ts';
import { cached } from './cache.ts';

/**
 * Folder for `AutoModelForCausalLM.from_pretrained(folder, { dtype: 'q4' })`; there is no tokenizer.
 * @param name of the folder, and seed of the weights
 */
export async function int4Folder(name: string, config: DecoderConfig): Promise<string> {
  const file = await cached(`${name}/onnx/model_q4.onnx`, async (path, onProgress) => {
    await writeHubFolder(dirname(dirname(path)), {
      config: hubConfig(config),
      // Nothing ends a run before max_new_tokens.
      generationConfig: { pad_token_id: 0 },
      decoder: buildDecoder(config, randomParameters(name), {
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
