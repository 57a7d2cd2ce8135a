// usage: node places.mjs <models>: one model from three places, each with the text of the untouched model.
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readdirSync, symlinkSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { AutoModelForCausalLM, AutoTokenizer, env } from '@huggingface/transformers';
import { attune, zeroTuning } from 'attune';

const models = resolve(process.argv[2]);
env.localModelPath = models;
env.allowRemoteModels = false;
const tokenizer = await AutoTokenizer.from_pretrained('worlds-lm');
const inputs = tokenizer('The capital of France is');
const text = async (model) =>
  tokenizer.batch_decode(await model.generate({ ...inputs, max_new_tokens: 8 }))[0];

const plain = await AutoModelForCausalLM.from_pretrained('worlds-lm', { dtype: 'fp32' });
const expected = await text(plain);
const logits = async (model) => (await model(inputs)).logits.data;
const before = await logits(plain);

/** Files in blobs/, links in snapshots/. */
function hubCache(folder) {
  const snapshot = resolve('models--x--y/snapshots/abc');
  mkdirSync(resolve('models--x--y/blobs'), { recursive: true });
  for (const sub of ['.', 'onnx']) {
    mkdirSync(join(snapshot, sub), { recursive: true });
    for (const entry of readdirSync(join(folder, sub), { withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const blob = resolve('models--x--y/blobs', `${sub === '.' ? '' : 'onnx-'}${entry.name}`);
      cpSync(join(folder, sub, entry.name), blob);
      symlinkSync(relative(join(snapshot, sub), blob), join(snapshot, sub, entry.name));
    }
  }
  return snapshot;
}

for (const place of ['worlds-lm', join(models, 'worlds-lm'), hubCache(join(models, 'worlds-lm'))]) {
  const model = await attune(AutoModelForCausalLM, place, {
    dtype: 'fp32',
    interventions: [zeroTuning({ gamma: 4 })],
  });
  assert.notDeepEqual(await logits(model), before, `${place}: γ changes nothing`);
  model.use([]);
  assert.deepEqual(await logits(model), before, place);
  assert.equal(await text(model), expected, place);
  await model.dispose();
}
const wrapped = await attune.wrap(plain);
assert.equal(await text(wrapped), expected, 'wrap without a folder');
await wrapped.dispose();
