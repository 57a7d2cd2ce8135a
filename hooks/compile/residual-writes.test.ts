/** What is written to the residual stream reaches everything that reads it, in every form the stream is summed in. */
import { AutoModelForMaskedLM } from '@huggingface/transformers';
import { expect, test } from 'vitest';
import { loadFixture } from '../../testbed/fixtures/load.ts';
import { batch, load, logits, maxDifference, prompt } from '../model/attuned.test-support.ts';
import { from_pretrained } from '../model/index.ts';

const inputs = batch(prompt);
const POINTS = ['blocks.1.hook_resid_pre', 'blocks.0.hook_resid_mid', 'blocks.1.hook_resid_post'];
const wave = ({ data }: { data: Float32Array }) => data.map((x, i) => x + Math.sin(i));

test('a Skip*LayerNormalization that sums and normalises gives what an Add and a norm give', async () => {
  const [eager, fused] = [await load('llama-eager'), await load('llama-gqa')];
  for (const point of POINTS) {
    const plain = await logits(eager, inputs);
    const wanted = await eager.runWithHooks([[point, wave]], (view) => logits(view as never, inputs));
    const found = await fused.runWithHooks([[point, wave]], (view) => logits(view as never, inputs));
    expect(maxDifference(found, wanted), point).toBeLessThan(1e-4);
    expect(maxDifference(found, plain), point).toBeGreaterThan(0.1);
  }
  await eager.dispose();
  await fused.dispose();
});

test('writing the value that is there changes no bit', async () => {
  const model = await load('llama-gqa');
  const plain = await logits(model, inputs);
  for (const point of POINTS) {
    const same = await model.runWithHooks([[point, ({ data }) => data.slice()]], (view) =>
      logits(view as never, inputs),
    );
    expect(same, point).toEqual(plain);
  }
  await model.dispose();
});

test('after the norm of a post-norm encoder, too', async () => {
  const results: Float32Array[] = [];
  for (const name of ['bert', 'bert-fused']) {
    const { folder, cases } = loadFixture(name);
    const model = await from_pretrained(AutoModelForMaskedLM as never, folder, { dtype: 'fp32' });
    const call = model as unknown as ((inputs: object) => Promise<Record<string, { data: Float32Array }>>) &
      typeof model;
    const rows = batch([1, 5, 9, 12, 3]);
    expect(cases.length).toBeGreaterThan(0);
    const feed = { ...rows, token_type_ids: batch([0, 0, 0, 0, 0]).input_ids };
    for (const point of ['blocks.0.hook_resid_mid', 'blocks.0.hook_resid_post']) {
      const outputs = await call.runWithHooks([[point, wave]], (view) => (view as typeof call)(feed));
      results.push(Object.values(outputs)[0]!.data);
    }
    results.push(Object.values(await call(feed))[0]!.data);
    await model.dispose();
  }
  for (const i of [0, 1]) {
    expect(maxDifference(results[i]!, results[i + 3]!)).toBeLessThan(1e-4);
    expect(maxDifference(results[i]!, results[2]!)).toBeGreaterThan(0.01);
  }
});
