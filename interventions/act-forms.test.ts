/** ACT in every decoder export of the fixtures: exact when off, the same in all forms of a model, rows independent. */

import { join } from 'node:path';
import type { Tensor } from '@huggingface/transformers';
import { afterAll, describe, expect, test } from 'vitest';
import {
  batch,
  load,
  logits,
  maxDifference,
  plainLogits,
  type TestModel,
} from '../hooks/model/attuned.test-support.ts';
import { modelFacts } from '../hooks/model/facts.ts';
import { feedsOf } from '../hooks/session/fixture-runs.test-support.ts';
import { createSession, loadRuntime } from '../hooks/session/index.ts';
import { openModel } from '../onnx/index.ts';
import { fixtureNames, loadFixture } from '../testbed/fixtures/load.ts';
import { act } from './index.ts';

const PADDED = 3;
const NEW_TOKENS = 8;
const settings = act({ heads: 'all', threshold: { alpha: 2 } });

const decoders = fixtureNames().filter((name) => {
  const { greedy, files } = loadFixture(name);
  return (
    greedy !== undefined && files.some(({ file, dtype }) => file === 'onnx/model.onnx' && dtype === 'fp32')
  );
});

/** Per architecture: what the first form gave. */
const seen = new Map<string, { form: string; prefill: Float32Array; tokens: number[][] }>();

async function greedy(model: TestModel, inputs: ReturnType<typeof batch>): Promise<number[][]> {
  const { generate } = model as unknown as { generate(options: object): Promise<Tensor> };
  const options = { ...inputs, max_new_tokens: NEW_TOKENS, do_sample: false, eos_token_id: null };
  const output = await generate.call(model, options);
  return (output.tolist() as bigint[][]).map((row) => row.slice(-NEW_TOKENS).map(Number));
}

describe.each(decoders)('%s', (name) => {
  const { prompt } = loadFixture(name).greedy!.single;
  const short = prompt.slice(PADDED);
  let model: TestModel;
  afterAll(async () => {
    await model.dispose();
  });

  test('off it changes no bit; a padded row and its continuation are what they are alone', async () => {
    model = await load(name, { prepare: [act.kind] });
    const plain = await logits(model, batch(prompt));
    expect(plain).toEqual(await plainLogits(name, batch(prompt)));
    model.use([settings]);
    const prefill = await logits(model, batch(prompt));
    expect(maxDifference(prefill, plain)).toBeGreaterThan(0.1);
    const together = await logits(model, batch(prompt, short));
    const alone = await logits(model, batch(short));
    expect(maxDifference(together.slice(0, prefill.length), prefill)).toBeLessThan(1e-4);
    expect(maxDifference(together.slice(-alone.length), alone)).toBeLessThan(1e-4);
    const tokens = await greedy(model, batch(prompt, short));
    expect(tokens).toEqual([...(await greedy(model, batch(prompt))), ...(await greedy(model, batch(short)))]);

    const architecture = loadFixture(name).model;
    const other = seen.get(architecture);
    if (!other) seen.set(architecture, { form: name, prefill, tokens });
    else {
      expect(maxDifference(prefill, other.prefill), `as ${other.form}`).toBeLessThan(1e-4);
      expect(tokens, `as ${other.form}`).toEqual(other.tokens);
    }
  });
});

test('several forms were compared', () => {
  expect(decoders.length).toBeGreaterThan(15);
  expect(decoders.length - seen.size).toBeGreaterThan(8);
});

test.each(['llama-gqa', 'qwen2-eager'])('%s in float16', async (name) => {
  const { prompt } = loadFixture(name).greedy!.single;
  const results = await Promise.all(
    ['fp32', 'fp16'].map(async (dtype) => {
      const model = await load(name, { dtype, interventions: [settings] });
      const { logits } = await model(batch(prompt));
      const tokens = await greedy(model, batch(prompt, prompt.slice(PADDED)));
      await model.dispose();
      return { logits: logits.to('float32').data as Float32Array, tokens };
    }),
  );
  expect(maxDifference(results[0]!.logits, results[1]!.logits)).toBeLessThan(0.1);
  expect(results[1]!.tokens).toEqual(results[0]!.tokens);
});

test.each([
  ['bart', 'in a merged decoder, each row by itself'],
  ['t5', 'in a merged decoder, each row by itself'],
  ['whisper-genai', 'without an attention mask'],
])('%s, %s', async (name) => {
  const fixture = loadFixture(name);
  const path = fixture.files.map(({ file }) => file).find((file) => /decoder_model/.test(file))!;
  const file = await openModel(join(fixture.folder, path));
  const facts = modelFacts(file, {});
  const one = act({ heads: 'all', threshold: { tau: 0.1 }, statistics: 'row' });
  const feeds = await feedsOf(fixture, path, file, fixture.cases[0]!);
  await using plain = await createSession(file, facts.recognition, {});
  await using edited = await createSession(
    file,
    facts.recognition,
    act.kind.plan(facts, act.kind.variant!(one)),
  );
  const before = (await plain.run(feeds)).logits!.data as Float32Array;
  expect((await edited.run(feeds)).logits!.data).toEqual(before);
  for (const [knob, value] of Object.entries(act.kind.knobs(one, facts))) edited.setKnob(knob, value);
  expect(maxDifference((await edited.run(feeds)).logits!.data as Float32Array, before)).toBeGreaterThan(0.1);
  file.close();
});

test.each([
  ['bert', 'onnx/model.onnx', /INTERVENTION_REFUSED.*not causal/],
  ['bart', 'onnx/decoder_model_merged.onnx', /INTERVENTION_REFUSED.*branch of an If/],
])('%s is refused', async (name, path, reason) => {
  const file = await openModel(join(loadFixture(name).folder, path));
  const facts = modelFacts(file, {});
  expect(() => act.kind.plan(facts, act.kind.variant!(settings))).toThrow(reason);
  file.close();
});

test.each(['llama-eager', 'llama-gqa'])('%s: wasm and CPU agree', async (name) => {
  const { prompt } = loadFixture(name).greedy!.single;
  const tokens: number[][][] = [];
  for (const runtime of ['node', 'web'] as const) {
    const provider = runtime === 'web' ? { session_options: { executionProviders: ['wasm'] } } : {};
    const options = { interventions: [settings], runtime: await loadRuntime(runtime), ...provider };
    const model = await load(name, options);
    tokens.push(await greedy(model, batch(prompt, prompt.slice(PADDED))));
    await model.dispose();
  }
  expect(tokens[1]).toEqual(tokens[0]);
});
