/** Beam search against transformers' own (testbed/fixtures/make/beams.py), and what it cannot honour. */
import { readFileSync } from 'node:fs';
import { LlavaForConditionalGeneration, Tensor } from '@huggingface/transformers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { load, type TestModel } from '../hooks/model/attuned.test-support.ts';
import { type AttunedModel, from_pretrained, type TransformersModel } from '../hooks/model/index.ts';
import { floats, type GoldenTensor, loadFixture } from '../testbed/fixtures/load.ts';
import { beamSearch, vcd, zeroTuning } from './index.ts';

interface BeamCase {
  fixture: string;
  prompt: number[];
  num_beams: number;
  max_new_tokens: number;
  length_penalty?: number;
  early_stopping?: boolean | 'never';
  eos: number | null;
  tokens: number[];
}
const { cases, greedy } = JSON.parse(
  readFileSync(new URL('../testbed/fixtures/beams.json', import.meta.url), 'utf8'),
) as { cases: BeamCase[]; greedy: Record<string, number[]> };

type Generator = TransformersModel & AttunedModel & { generate(options: object): Promise<Tensor> };
const ids = (row: readonly number[]) => new Tensor('int64', BigInt64Array.from(row, BigInt), [1, row.length]);
const { single } = loadFixture('llava').greedy! as unknown as {
  single: { inputs: Record<string, GoldenTensor> };
};
const pictures = single.inputs.pixel_values!;

/** What `generate` is called with. */
const optionsOf = ({ fixture, prompt, num_beams: _, eos, tokens: __, ...rest }: BeamCase) => ({
  input_ids: ids(prompt),
  attention_mask: ids(prompt.map(() => 1)),
  ...(fixture === 'llava' && { pixel_values: new Tensor('float32', floats(pictures), [...pictures.shape]) }),
  eos_token_id: eos,
  ...Object.fromEntries(Object.entries(rest).filter(([name]) => name !== 'margin')),
});
const written = (output: Tensor, { prompt }: BeamCase) =>
  (output.tolist() as bigint[][])[0]!.slice(prompt.length).map(Number);

describe.each([
  ['llama-eager', 'llama'],
  ['llama-gqa', 'llama'],
  ['llava', 'llava'],
  ['llava-gqa', 'llava'],
] as const)('%s', (name, fixture) => {
  let model: Generator;
  beforeAll(async () => {
    model = (await (fixture === 'llava'
      ? from_pretrained(LlavaForConditionalGeneration as never, loadFixture(name).folder, { dtype: 'fp32' })
      : load(name))) as unknown as Generator;
  });
  afterAll(() => model.dispose());
  const own = cases.filter((one) => one.fixture === fixture);

  test('the vectors are of this model', () => {
    expect(loadFixture(name).greedy!.single.tokens).toEqual(greedy[fixture]);
    expect(own.length).toBeGreaterThan(3);
  });

  test.each(
    own.map(
      (one) =>
        [
          `${one.num_beams} beams, ${JSON.stringify(one.early_stopping ?? false)}, ${one.length_penalty ?? 1}, eos ${one.eos}`,
          one,
        ] as const,
    ),
  )('%s: the tokens of transformers', async (_, one) => {
    model.use([beamSearch({ beams: one.num_beams })]);
    expect(written(await model.generate(optionsOf(one)), one)).toEqual(one.tokens);
  });

  test('one beam is greedy', async () => {
    const one = own[0]!;
    model.use([]);
    const plain = written(await model.generate({ ...optionsOf(one), max_new_tokens: 16 }), one);
    model.use([beamSearch({ beams: 1 })]);
    expect(written(await model.generate({ ...optionsOf(one), max_new_tokens: 16 }), one)).toEqual(plain);
  });
});

describe('what a search cannot honour is an error', () => {
  let model: TestModel & { generate(options: object): Promise<unknown> };
  beforeAll(async () => {
    model = (await load('llama-gqa', { interventions: [beamSearch({})] })) as never;
  });
  afterAll(() => model.dispose());
  const prompt = { input_ids: ids([1, 5, 9]), attention_mask: ids([1, 1, 1]), max_new_tokens: 2 };

  test.each([
    ['sampling', { do_sample: true }, /SEARCH_OPTION.*do_sample true/],
    ['a penalty', { repetition_penalty: 1.2 }, /SEARCH_OPTION.*repetition_penalty 1.2/],
    ['a streamer', { streamer: { put() {} } }, /SEARCH_OPTION.*streamer given/],
    ['another number of beams', { num_beams: 3 }, /SEARCH_OPTION.*num_beams 3.*expected 5/],
    ['nothing to write', { max_new_tokens: 0 }, /SEARCH_OPTION.*0 new tokens/],
    ['two prompts', { input_ids: new Tensor('int64', [1n, 5n, 1n, 5n], [2, 2]) }, /SEARCH_BATCH.*2 prompts/],
    ['a cache', { past_key_values: {} }, /SEARCH_OPTION.*past_key_values/],
  ] as const)('%s', async (_, options, message) => {
    await expect(model.generate({ ...prompt, ...options })).rejects.toThrow(message);
  });

  test('neutral options of a generation configuration are none', async () => {
    const neutral = { do_sample: false, repetition_penalty: 1.0, num_beams: 5, bad_words_ids: [] };
    const output = (await model.generate({ ...prompt, ...neutral })) as Tensor;
    expect(output.dims).toEqual([1, 5]);
    const dictionary = await model.generate({ ...prompt, return_dict_in_generate: true });
    expect(dictionary).toMatchObject({ sequences: { dims: [1, 5] } });
  });

  test('with interventions on attention, and not with another way to choose tokens', async () => {
    model.use([zeroTuning({ gamma: 2 }), beamSearch({ beams: 2 })]);
    await expect(model.generate({ ...prompt, num_beams: 2 })).resolves.toMatchObject({ dims: [1, 5] });
    expect(() => model.use([beamSearch({}), vcd({})])).toThrow(/INTERVENTION_(CONFLICT|REFUSED)/);
  });
});
