/** ZeroTuning against its definition on the pattern of the first layer, in both graph forms. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  activation,
  batch,
  FORMS,
  load,
  mapRows,
  maxDifference,
  prompt,
  type TestModel,
} from '../hooks/model/attuned.test-support.ts';
import { zeroTuning } from './index.ts';

const PATTERN = 'blocks.0.attn.hook_pattern';
const PADDED = 3;

describe.each(FORMS)('%s', (form) => {
  let model: TestModel;
  beforeAll(async () => {
    model = await load(form, { prepare: [zeroTuning.kind] });
  });
  afterAll(async () => {
    await model.dispose();
  });
  // The second row is padded by PADDED tokens on the left.
  const inputs = batch(prompt, prompt.slice(PADDED));
  const firstOf = [0, PADDED];

  test.each([{ tokens: [0, 1] as const }, { tokens: [2, 5] as const }])(
    'γ[head] on tokens $tokens of each row, counted from its first real one',
    async ({ tokens }) => {
      const gamma = [0.5, 3, 1, 1.4];
      model.use([]);
      const before = await activation(model, inputs, PATTERN);
      model.use([zeroTuning({ gamma, layers: [0], tokens: [...tokens] })]);
      const after = await activation(model, inputs, PATTERN);
      const expected = mapRows(before, (row, { b, h }) => {
        const scaled = [...row].map((p, t) => {
          const place = t - firstOf[b]!;
          return place >= tokens[0] && place < tokens[1] ? gamma[h]! * p : p;
        });
        const sum = scaled.reduce((total, p) => total + p, 0);
        return scaled.map((p) => p / sum);
      });
      const S = prompt.length;
      const real = (data: Float32Array) => withoutPadding(data, S);
      expect(maxDifference(real(after.data), real(expected))).toBeLessThan(1e-5);
      expect(maxDifference(real(after.data), real(before.data))).toBeGreaterThan(0.01);
    },
  );
});

/** Rows of real tokens only; what a padded row attends to has no meaning. [2,H,S,S] */
function withoutPadding(data: Float32Array, S: number): Float32Array {
  return data.filter((_, i) => i < data.length / 2 || Math.floor(i / S) % S >= PADDED);
}

test.each([[[2, 2]], [[3, 1]], [[-1, 2]], [[0.5, 2]]])('tokens %j are refused', (tokens) => {
  expect(() => zeroTuning({ gamma: 2, tokens: tokens as [number, number] })).toThrow(
    /SPEC_INVALID.*zerotuning\.tokens/,
  );
});

test('its JSON gives the same specification back', () => {
  const made = zeroTuning({ gamma: 2, tokens: [1, 4] });
  expect(zeroTuning.kind.name).toBe('zerotuning');
  const { intervention, ...parameters } = made.toJSON();
  expect(intervention).toBe('zerotuning');
  expect(zeroTuning(parameters as never).hash).toBe(made.hash);
});
