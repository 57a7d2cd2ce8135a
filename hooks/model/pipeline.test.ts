/** What transformers.js builds on a model keeps working: pipelines, streamers, interventions for one call. */
import {
  AutoModelForCausalLM,
  AutoTokenizer,
  TextGenerationPipeline,
  TextStreamer,
} from '@huggingface/transformers';
import { afterAll, expect, test } from 'vitest';
import { zeroTuning } from '../../interventions/index.ts';
import { loadFixture } from '../../testbed/fixtures/load.ts';
import { type AttunedModel, from_pretrained, type TransformersModel } from './index.ts';

const { folder } = loadFixture('llama-gqa');
const tokenizer = await AutoTokenizer.from_pretrained(folder);
const plain = await AutoModelForCausalLM.from_pretrained(folder, { dtype: 'fp32' });
const model = (await from_pretrained(AutoModelForCausalLM as never, folder, {
  dtype: 'fp32',
  prepare: [zeroTuning.kind],
})) as TransformersModel & AttunedModel;
afterAll(async () => {
  await plain.dispose();
  await model.dispose();
});

const options = { max_new_tokens: 12, do_sample: false };
const pipeline = (of: unknown) =>
  new TextGenerationPipeline({ task: 'text-generation', model: of as never, tokenizer });

test('a text-generation pipeline gives the text of the untouched model', async () => {
  const text = await pipeline(model)('the cat sat on', options);
  expect(text).toEqual(await pipeline(plain)('the cat sat on', options));
});

test('a streamer receives the tokens one by one and the text of the whole', async () => {
  const steps: number[] = [];
  let text = '';
  const streamer = new TextStreamer(tokenizer, {
    skip_prompt: true,
    callback_function: (piece: string) => {
      text += piece;
    },
    token_callback_function: (tokens: bigint[]) => void steps.push(tokens.length),
  });
  const [{ generated_text: whole }] = (await pipeline(model)('the cat sat on', {
    ...options,
    streamer,
  })) as never as [{ generated_text: string }];
  expect(steps).toEqual(new Array(12).fill(1));
  expect(text.length).toBeGreaterThan(0);
  expect(whole.endsWith(text.trimEnd())).toBe(true);
});

test('using() intervenes for one call and restores what was there', async () => {
  const prompt = 'the cat sat on';
  const untouched = await pipeline(model)(prompt, options);
  const tuned = await model.using([zeroTuning({ gamma: 30 })], () => pipeline(model)(prompt, options));
  expect(tuned).not.toEqual(untouched);
  expect(model.attune.interventions).toEqual([]);
  expect(await pipeline(model)(prompt, options)).toEqual(untouched);
});

test('two interventions of one kind are refused, and nothing changes', () => {
  expect(() => model.use([zeroTuning({ gamma: 2 }), zeroTuning({ gamma: 3 })])).toThrow(/INTERVENTION_TWICE/);
  expect(model.attune.interventions).toEqual([]);
});
