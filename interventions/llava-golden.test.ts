/** Vision-language interventions against PyTorch runs of the same model (testbed/fixtures/make/interventions.py). */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { maxDifference } from '../hooks/model/attuned.test-support.ts';
import {
  decodeLogits,
  imagePrompts,
  LLAVA_FORMS,
  type LlavaModel,
  llavaCases,
  loadLlava,
} from '../hooks/model/llava.test-support.ts';
import { floats } from '../testbed/fixtures/load.ts';
import { interventionFromJSON } from './index.ts';

const cases = llavaCases().map((one) => ({ name: `${JSON.stringify(one.spec)} ${one.text}`, ...one }));

test('cases of every kind are there, and each changes the logits', () => {
  const kinds = new Set(cases.map(({ spec }) => spec.intervention));
  expect([...kinds].sort()).toEqual(['imbalanced-attention', 'pai', 'var', 'vhr']);
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

  test.each(cases.filter(({ steps }) => steps))(
    '$name',
    async ({ spec, prompt, pixels, tokens, prefill, steps }) => {
      model.use([interventionFromJSON(spec)]);
      const [first, ...rest] = await decodeLogits(
        model,
        imagePrompts([prompt], [pixels]),
        tokens.map((token) => [token]),
      );
      expect(maxDifference(first!, floats(prefill))).toBeLessThan(1e-4);
      const decoded = Float32Array.from(rest.flatMap((logits) => Array.from(logits)));
      expect(maxDifference(decoded, floats(steps!))).toBeLessThan(1e-4);
    },
  );

  test.each(cases.filter(({ scores }) => scores))('$name: generated under contrast', async (one) => {
    model.use([interventionFromJSON(one.spec)]);
    const seen: Float32Array[] = [];
    const listen = (_ids: unknown, scores: { data: Float32Array }) =>
      seen.push(Float32Array.from(scores.data)) && scores;
    const output = await model.generate({
      ...imagePrompts([one.prompt], [one.pixels]),
      max_new_tokens: one.tokens.length,
      do_sample: false,
      eos_token_id: null,
      logits_processor: [listen],
    });
    const tokens = (output.tolist() as bigint[][])[0]!.slice(one.prompt.length).map(Number);
    expect(tokens).toEqual(one.tokens);
    const expected = floats(one.scores!);
    const close = seen
      .flatMap((scores) => Array.from(scores))
      .map((score, i) => {
        return Number.isFinite(expected[i]!) ? Math.abs(score - expected[i]!) < 1e-3 : score === expected[i];
      });
    expect(close.length).toBe(expected.length);
    expect(close).not.toContain(false);
  });
});
