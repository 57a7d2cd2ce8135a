/** transformers.js models with attune behind them: generation, padding, switching interventions, function hooks. */
import { AutoModelForCausalLM, Tensor } from '@huggingface/transformers';
import { afterAll, describe, expect, test } from 'vitest';
import { AttuneError } from '../../errors.ts';
import { zeroTuning } from '../../interventions/index.ts';
import { fixtureNames, loadFixture } from '../../testbed/fixtures/load.ts';
import { type AttunedModel, from_pretrained, type TransformersModel, wrap } from './index.ts';

type Model = TransformersModel &
  AttunedModel &
  ((inputs: object) => Promise<Record<string, Tensor>>) & { generate(options: object): Promise<Tensor> };

const models: TransformersModel[] = [];
afterAll(async () => {
  for (const model of models) await model.dispose();
});

async function load(folder: string, options: object = {}): Promise<Model> {
  const model = await from_pretrained(AutoModelForCausalLM as never, folder, { dtype: 'fp32', ...options });
  models.push(model);
  return model as Model;
}

function ids(rows: readonly (readonly number[])[]): Tensor {
  return new Tensor('int64', BigInt64Array.from(rows.flat(), BigInt), [rows.length, rows[0]!.length]);
}

/** Rows padded on the left to one length. */
function batch(rows: readonly (readonly number[])[], pad: number) {
  const length = Math.max(...rows.map((row) => row.length));
  const fill = (row: readonly number[], value: number) => [
    ...new Array<number>(length - row.length).fill(value),
    ...row,
  ];
  return {
    input_ids: ids(rows.map((row) => fill(row, pad))),
    attention_mask: ids(
      rows.map((row) =>
        fill(
          row.map(() => 1),
          0,
        ),
      ),
    ),
  };
}

async function greedy(model: Model, inputs: object, count: number): Promise<number[][]> {
  const output = await model.generate({
    ...inputs,
    max_new_tokens: count,
    do_sample: false,
    eos_token_id: null,
  });
  const prompt = (inputs as { input_ids: Tensor }).input_ids.dims[1]!;
  return (output.tolist() as bigint[][]).map((row) => row.slice(prompt).map(Number));
}

/** Greedy tokens by running the whole sequence again for each. */
async function recompute(model: Model, prompt: readonly number[], count: number): Promise<number[]> {
  const sequence = [...prompt];
  for (let i = 0; i < count; i++) {
    const input_ids = ids([sequence]);
    const attention_mask = ids([sequence.map(() => 1)]);
    const { logits } = await model({ input_ids, attention_mask });
    const [, S, V] = logits!.dims as [number, number, number];
    const last = (logits!.data as Float32Array).subarray((S - 1) * V);
    sequence.push(last.reduce((best, value, id) => (value > last[best]! ? id : best), 0));
  }
  return sequence.slice(prompt.length);
}

const decoders = fixtureNames().filter((name) => {
  const { greedy, files } = loadFixture(name);
  return (
    greedy !== undefined && files.some(({ file, dtype }) => file === 'onnx/model.onnx' && dtype === 'fp32')
  );
});

test('the decoder fixtures are found', () => {
  expect(decoders).toEqual(expect.arrayContaining(['llama-eager', 'llama-gqa', 'gpt2']));
});

describe.each(decoders)('%s', (name) => {
  const { folder, greedy: golden } = loadFixture(name);
  const { single, batch: rows } = golden!;

  test('generates what PyTorch generates, with ZeroTuning compiled in and off', async () => {
    const model = await load(folder, { prepare: [zeroTuning.kind] });
    const tokens = await greedy(model, batch([single.prompt], 0), single.tokens.length);
    expect(tokens).toEqual([single.tokens]);
  });

  test('each left-padded row gets the tokens of its unpadded run', async () => {
    if (!rows) return;
    const model = await load(folder);
    const tokens = await greedy(model, batch(rows.prompts, rows.padTokenId), rows.tokens[0]!.length);
    expect(tokens).toEqual(rows.tokens);
  });

  test('γ = 1 is bit-exact, γ = 1.7 changes the logits, and cached equals uncached with it', async () => {
    const plain = await AutoModelForCausalLM.from_pretrained(folder, { dtype: 'fp32' });
    models.push(plain as never);
    const model = await load(folder, { interventions: [zeroTuning({ gamma: 1 })] });
    const inputs = batch([single.prompt], 0);
    const before = (await (plain as unknown as Model)(inputs)).logits!.data;
    expect((await model(inputs)).logits!.data).toEqual(before);
    model.use([zeroTuning({ gamma: 1.7 })]);
    const changed = (await model(inputs)).logits!.data as Float32Array;
    expect(changed.some((value, i) => Math.abs(value - (before as Float32Array)[i]!) > 1e-3)).toBe(true);
    const tokens = await greedy(model, inputs, 64);
    expect(tokens).toEqual([await recompute(model, single.prompt, 64)]);
    model.use([]);
    expect((await model(inputs)).logits!.data).toEqual(before);
  });
});

describe('function hooks', () => {
  const { folder, greedy: golden } = loadFixture('llama-gqa');
  const prompt = golden!.single.prompt;

  test('runWithCache names what flowed', async () => {
    const model = await load(folder);
    const { cache } = await model.runWithCache(batch([prompt], 0), [
      'blocks.*.attn.hook_pattern',
      'blocks.0.hook_resid_pre',
    ]);
    expect([...cache.keys()]).toEqual([
      'blocks.0.hook_resid_pre',
      'blocks.0.attn.hook_pattern',
      'blocks.1.attn.hook_pattern',
    ]);
    const pattern = cache.get('blocks.1.attn.hook_pattern')!;
    expect(pattern.dims).toEqual([1, 4, prompt.length, prompt.length]);
    for (let row = 0; row < 4 * prompt.length; row++) {
      const sum = pattern.data
        .subarray(row * prompt.length, (row + 1) * prompt.length)
        .reduce((a, b) => a + b, 0);
      expect(sum).toBeCloseTo(1, 5);
    }
    await expect(model.runWithCache(batch([prompt], 0), 'blocks.9.attn.hook_patern')).rejects.toThrow(
      /HOOK_UNKNOWN.*Nearest/,
    );
  });

  test('a function that writes acts as if the value had flowed, also while generating', async () => {
    const model = await load(folder);
    const ablate = (value: { data: Float32Array }) => value.data.map(() => 0);
    const inputs = batch([prompt], 0);
    const untouched = await greedy(model, inputs, 12);
    const hooked = await model.runWithHooks([['blocks.0.attn.hook_z', ablate]], () =>
      greedy(model, inputs, 12),
    );
    const recomputed = await model.runWithHooks([['blocks.0.attn.hook_z', ablate]], () =>
      recompute(model, prompt, 12),
    );
    expect(hooked).toEqual([recomputed]);
    expect(hooked).not.toEqual(untouched);
    expect(await greedy(model, inputs, 12)).toEqual(untouched);
  });

  test('a later point sees what an earlier function wrote', async () => {
    const model = await load(folder);
    const inputs = batch([prompt], 0);
    const seen: number[] = [];
    await model.runWithHooks(
      [
        ['blocks.0.hook_resid_pre', (value: { data: Float32Array }) => value.data.map((x) => 2 * x)],
        ['blocks.1.hook_resid_pre', (value: { data: Float32Array }) => void seen.push(value.data[0]!)],
      ],
      () => model(inputs),
    );
    const { cache } = await model.runWithCache(inputs, 'blocks.1.hook_resid_pre');
    expect(Math.abs(seen[0]! - cache.get('blocks.1.hook_resid_pre')!.data[0]!)).toBeGreaterThan(1e-3);
  });

  test('returning a tensor of another size is refused', async () => {
    const model = await load(folder);
    const run = model.runWithHooks([['blocks.0.attn.hook_z', () => new Float32Array(3)]], () =>
      model(batch([prompt], 0)),
    );
    await expect(run).rejects.toThrow(/HOOK_SHAPE.*blocks\.0\.attn\.hook_z.*3 numbers/);
  });
});

describe('bad parameters are refused before anything runs', () => {
  test.each([
    [{ gamma: Number.NaN }, 'SPEC_INVALID'],
    [{ gamma: -1 }, 'SPEC_INVALID'],
    [{ gamma: Number.POSITIVE_INFINITY }, 'SPEC_INVALID'],
    [{ gamma: 1.2, layers: [99] }, 'LAYER_OUT_OF_RANGE'],
    [{ gamma: 1.2, heads: [99] }, 'HEAD_OUT_OF_RANGE'],
    [{ gamma: [1, 2, 3] }, 'HEADS_MISMATCH'],
    [{ gamma: [[1, 1, 1, 1]] }, 'HEADS_MISMATCH'],
  ])('%j', async (parameters, code) => {
    const model = await load(loadFixture('llama-gqa').folder);
    const attempt = () => model.use([zeroTuning(parameters as never)]);
    expect(attempt).toThrow(AttuneError);
    expect(attempt).toThrow(code);
    expect(model.attune.interventions).toEqual([]);
  });
});

test('wrap puts attune behind a model that is loaded already', async () => {
  const { folder, greedy: golden } = loadFixture('llama-eager');
  const plain = await AutoModelForCausalLM.from_pretrained(folder, { dtype: 'fp32' });
  const model = (await wrap(plain as never, folder)) as Model;
  models.push(model);
  expect(await greedy(model, batch([golden!.single.prompt], 0), 20)).toEqual([
    golden!.single.tokens.slice(0, 20),
  ]);
});

test('within a layer, a function downstream sees what one upstream wrote', async () => {
  const { folder, greedy: golden } = loadFixture('llama-gqa');
  const model = await load(folder);
  const inputs = batch([golden!.single.prompt], 0);
  const seen: Float32Array[] = [];
  await model.runWithHooks(
    [
      ['blocks.1.hook_resid_post', (value: { data: Float32Array }) => void seen.push(value.data)],
      ['blocks.1.hook_resid_mid', (value: { data: Float32Array }) => void seen.push(value.data)],
      ['blocks.1.attn.hook_z', (value: { data: Float32Array }) => value.data.map(() => 0)],
    ],
    () => model(inputs),
  );
  const { cache } = await model.runWithCache(inputs, 'blocks.1.hook_resid_{pre,post}');
  // Without attention, the stream after it is the stream before it; what leaves the layer differs from the untouched.
  expect(seen[0]).toEqual(cache.get('blocks.1.hook_resid_pre')!.data);
  expect(seen[1]).not.toEqual(cache.get('blocks.1.hook_resid_post')!.data);
});
