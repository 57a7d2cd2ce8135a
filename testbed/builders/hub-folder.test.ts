/** Folders as transformers.js loads them. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AutoModelForCausalLM, Tensor } from '@huggingface/transformers';
import { afterAll, expect, test } from 'vitest';
import type { DecoderOptions } from './build.ts';
import { buildDecoder } from './decoder.ts';
import { type DecoderConfig, hubConfig } from './decoder-config.ts';
import { type HubFolder, writeHubFolder } from './hub-folder.ts';
import { randomParameters } from './parameters.ts';

const root = mkdtempSync(join(tmpdir(), 'attune-hub-'));
afterAll(() => rmSync(root, { recursive: true }));

const config: DecoderConfig = {
  modelType: 'qwen2',
  vocabSize: 50,
  hiddenSize: 64,
  intermediateSize: 96,
  numLayers: 2,
  numHeads: 4,
  numKeyValueHeads: 2,
  headDim: 16,
  rmsNormEps: 1e-6,
  ropeTheta: 1e6,
  maxPositions: 64,
  // A tied random model repeats its last token for ever: its embedding dominates the residual stream.
  tieWordEmbeddings: false,
};

/** Greedy tokens of the model with one storage of its weights. */
async function tokens(name: string, storage: Pick<HubFolder, 'dtype' | 'external'>): Promise<number[]> {
  const folder = join(root, name);
  const weights: DecoderOptions['weights'] =
    storage.dtype === 'q4' ? { kind: 'int4', blockSize: 32, accuracyLevel: 4 } : { kind: 'float32' };
  await writeHubFolder(folder, {
    config: hubConfig(config),
    generationConfig: { pad_token_id: 0 },
    decoder: buildDecoder(config, randomParameters('hub'), { form: 'gqa', weights, numLogitsToKeep: true }),
    ...storage,
  });
  const model = await AutoModelForCausalLM.from_pretrained(folder, { dtype: storage.dtype });
  const input_ids = new Tensor('int64', BigInt64Array.of(1n, 7n, 30n), [1, 3]);
  const output = (await model.generate({
    inputs: input_ids,
    max_new_tokens: 12,
    do_sample: false,
  })) as Tensor;
  await model.dispose();
  return (output.tolist() as bigint[][])[0]!.map(Number);
}

test('float32, inline and external, generate the same', async () => {
  const inline = await tokens('inline', { dtype: 'fp32' });
  expect(inline).toHaveLength(15);
  expect(new Set(inline.slice(3)).size).toBeGreaterThan(1);
  expect(await tokens('external', { dtype: 'fp32', external: true })).toEqual(inline);
});

test('int4, inline and external, generate the same', async () => {
  const inline = await tokens('q4', { dtype: 'q4' });
  expect(inline).toHaveLength(15);
  expect(await tokens('q4-external', { dtype: 'q4', external: true })).toEqual(inline);
});
