/** Vision-language interventions against PyTorch runs of the same model (testbed/fixtures/make/interventions.py). */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { maxDifference } from '../testbed/fixtures/attuned.ts';
import {
  decodeLogits,
  imagePrompts,
  LLAVA_FORMS,
  type LlavaModel,
  llavaCases,
  loadLlava,
} from '../testbed/fixtures/llava.ts';
import { floats } from '../testbed/fixtures/load.ts';
import { interventionFromJSON } from './index.ts';

const cases = llavaCases().map((one) => ({ name: `${JSON.stringify(one.spec)} ${one.text}`, ...one }));

test('cases of every kind are there, and each changes the logits', () => {
  const kinds = new Set(cases.map(({ spec }) => spec.intervention));
  expect([...kinds].sort()).toEqual(['var', 'vhr']);
  expect(cases.every(({ about }) => (about.moved as number) > 0.1)).toBe(true);
});

describe.each(LLAVA_FORMS)('%s', (form) => {
  let model: LlavaModel;
  beforeAll(async () => {
    model = await loadLlava(form);
  });
  afterAll(async () => {
    await model.dispose();
  });

  test.each(cases)('$name', async ({ spec, prompt, pixels, tokens, prefill, steps }) => {
    model.use([interventionFromJSON(spec)]);
    const [first, ...rest] = await decodeLogits(
      model,
      imagePrompts([prompt], [pixels]),
      tokens.map((token) => [token]),
    );
    expect(maxDifference(first!, floats(prefill))).toBeLessThan(1e-4);
    const decoded = Float32Array.from(rest.flatMap((logits) => Array.from(logits)));
    expect(maxDifference(decoded, floats(steps))).toBeLessThan(1e-4);
  });
});
