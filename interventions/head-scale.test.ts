/** Head scale against a JavaScript function that multiplies z itself. */
import { describe, expect, test } from 'vitest';
import {
  batch,
  FORMS,
  load,
  logits,
  maxDifference,
  plainLogits,
  prompt,
} from '../hooks/model/attuned.test-support.ts';
import { headScale } from './index.ts';

const inputs = batch(prompt);

describe.each(FORMS)('%s', (form) => {
  test('a factor of 1 is bit-exact; a factor of 2 is z times 2', async () => {
    const model = await load(form, { interventions: [headScale({ scale: 1 })] });
    const plain = await plainLogits(form, inputs);
    expect(await logits(model, inputs)).toEqual(plain);
    const doubled = await model.runWithHooks(
      [['blocks.1.attn.hook_z', ({ dims, data }) => data.map((z, i) => (headOf(i, dims) === 3 ? 2 * z : z))]],
      () => logits(model, inputs),
    );
    model.use([headScale({ scale: 2, heads: [[1, 3]] })]);
    const scaled = await logits(model, inputs);
    expect(maxDifference(scaled, doubled)).toBeLessThan(1e-5);
    expect(maxDifference(scaled, plain)).toBeGreaterThan(0.1);
    await model.dispose();
  });
});

/** Head of an element of [B,S,H,D]. */
function headOf(i: number, dims: readonly number[]): number {
  return Math.floor(i / dims[3]!) % dims[2]!;
}

test('parameters are refused before anything runs', async () => {
  expect(() => headScale({ scale: Number.NaN })).toThrow(/SPEC_INVALID.*head-scale\.scale/);
  const model = await load(FORMS[0]);
  expect(() => model.use([headScale({ scale: 2, heads: [[0, 4]] })])).toThrow(/HEAD_OUT_OF_RANGE.*head 4/);
  expect(() => model.use([headScale({ scale: 2, layers: [2] })])).toThrow(/LAYER_OUT_OF_RANGE.*layer 2/);
  expect(() => model.use([headScale({ scale: [1, 2] })])).toThrow('HEADS_MISMATCH');
  await model.dispose();
});
