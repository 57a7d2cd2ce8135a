/** Searches in evaluation: what is written is the model's own generate, counted; log-likelihoods are refused. */
import { fileURLToPath } from 'node:url';
import { Tensor } from '@huggingface/transformers';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { load, type TestModel } from '../../hooks/model/attuned.test-support.ts';
import { beamSearch } from '../../interventions/index.ts';
import { type EvalModel, loadEvalModel, readIntervention } from '../models/load.ts';

const FOLDER = fileURLToPath(new URL('../../testbed/fixtures/llama-gqa', import.meta.url));
let model: EvalModel;
let own: TestModel & { generate(options: object): Promise<Tensor> };
beforeAll(async () => {
  model = await loadEvalModel(FOLDER);
  own = (await load('llama-gqa', { interventions: [beamSearch({ beams: 3 })] })) as never;
});
afterAll(async () => {
  await model.dispose();
  await own.dispose();
});

const how = { until: [], maxTokens: 10 };

test('what is written is what the model generates by the search, and what it ran is counted', async () => {
  const prompt = model.language.encode('the cat sat on the mat');
  const ids = new Tensor('int64', BigInt64Array.from(prompt, BigInt), [1, prompt.length]);
  const output = await own.generate({ input_ids: ids, max_new_tokens: 10 });
  await model.use([]);
  const greedy = await model.language.generate(prompt, how);
  await model.use([readIntervention({ intervention: 'beam-search', beams: 3 })]);
  const written = await model.language.generate(prompt, how);
  const tokens = Array.from(output.data as BigInt64Array, Number).slice(prompt.length);
  expect(written.tokens).toBe(tokens.length);
  // Special tokens are not text.
  const shown = tokens.filter((token) => token !== model.language.prefixToken);
  expect(model.language.encode(written.text, { specialTokens: false })).toEqual(shown);
  // The prompt once, then three rows for each further token.
  expect(written.cost).toMatchObject({
    tokens: prompt.length + 3 * 9,
    calls: 10,
    decodedTokens: 3 * 9,
  });
  await model.use([]);
  expect(await model.language.generate(prompt, how)).toMatchObject({ text: greedy.text });
});

test('OPERA runs its candidates', async () => {
  const prompt = model.language.encode('the cat sat on the mat');
  await model.use([readIntervention({ intervention: 'opera', beams: 2, candidates: 3 })]);
  const { cost } = await model.language.generate(prompt, how);
  expect(cost).toMatchObject({ tokens: prompt.length + 3 + 9 * 6, calls: 11 });
  await model.use([]);
});

test('text that ends the answer is cut off', async () => {
  await model.use([readIntervention({ intervention: 'beam-search', beams: 3 })]);
  const prompt = model.language.encode('the cat sat on the mat');
  const { text } = await model.language.generate(prompt, how);
  const end = text.slice(3, 6);
  expect((await model.language.generate(prompt, { ...how, until: [end] })).text).toBe(text.split(end)[0]);
  await model.use([]);
});

test('log-likelihoods are refused under a search, and given without', async () => {
  const request = {
    context: model.language.encode('the cat'),
    continuation: model.language.encode(' sat', { specialTokens: false }),
  };
  await model.use([readIntervention({ intervention: 'opera' })]);
  await expect(model.language.logLikelihoods([request])).rejects.toThrow(/SCORE_BY_SEARCH.*opera/);
  await model.use([]);
  await expect(model.language.logLikelihoods([request])).resolves.toMatchObject({
    scores: [{ truncated: false }],
  });
});
