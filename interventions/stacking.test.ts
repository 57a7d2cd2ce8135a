/** Several interventions at once: the same result in every graph form, whatever the order they are given in. */
import { afterAll, expect, test } from 'vitest';
import {
  batch,
  FORMS,
  load,
  logits,
  maxDifference,
  plainLogits,
  prompt,
  type TestModel,
} from '../hooks/model/attuned.test-support.ts';
import { headAblation, headScale, tempScale, zeroTuning } from './index.ts';

const inputs = batch(prompt, prompt.slice(2));
const stacked = [
  zeroTuning({ gamma: [0.6, 1.5, 2, 1] }),
  tempScale({ temperature: 0.7 }),
  headScale({ scale: 1.5, heads: [1] }),
  headAblation({ heads: [[1, 0]], kind: 'uniform' }),
];
const models: TestModel[] = [];
afterAll(async () => {
  for (const model of models) await model.dispose();
});

test('decomposed and GroupQueryAttention agree, and differ from each part alone', async () => {
  const results: Float32Array[] = [];
  for (const form of FORMS) {
    const model = await load(form, { interventions: stacked });
    models.push(model);
    results.push(lastRow(await logits(model, inputs)));
    model.use([...stacked].reverse());
    expect(lastRow(await logits(model, inputs))).toEqual(results.at(-1));
    for (const one of stacked) {
      model.use([one]);
      expect(maxDifference(lastRow(await logits(model, inputs)), results.at(-1)!)).toBeGreaterThan(0.01);
    }
  }
  expect(maxDifference(results[0]!, results[1]!)).toBeLessThan(1e-4);
});

test.each(FORMS)('%s: all neutral together is bit-exact', async (form) => {
  const neutral = [zeroTuning({ gamma: 1 }), tempScale({ temperature: 1 }), headScale({ scale: 1 })];
  const model = await load(form, { interventions: neutral, prepare: [headAblation.kind] });
  models.push(model);
  const single = batch(prompt);
  expect(await logits(model, single)).toEqual(await plainLogits(form, single));
});

/** Logits of the padded row's last token. */
function lastRow(logits: Float32Array): Float32Array {
  return logits.slice(-logits.length / (2 * prompt.length));
}
