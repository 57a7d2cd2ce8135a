/** VCD on a LLaVA-like fixture, against both streams run by hand on the untouched model. */
import { fileURLToPath } from 'node:url';
import { LlavaForConditionalGeneration, Tensor } from '@huggingface/transformers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { load } from '../hooks/model/attuned.test-support.ts';
import { type AttunedModel, from_pretrained, type TransformersModel } from '../hooks/model/index.ts';
import { floats, type GoldenTensor, loadFixture } from '../testbed/fixtures/load.ts';
import { combine } from './combine.ts';
import { vcd, zeroTuning } from './index.ts';
import { diffused, remainingSignal } from './noise.ts';

type Outputs = Record<string, Tensor> & { logits: Tensor };
interface Model extends TransformersModel, AttunedModel {
  (inputs: object): Promise<Outputs>;
  generate(options: object): Promise<Tensor>;
}

const { single } = loadFixture('llava').greedy! as unknown as {
  single: { inputs: Record<string, GoldenTensor>; prompt: number[] };
};
const pixels = floats(single.inputs.pixel_values!);
const shape = [...single.inputs.pixel_values!.shape];
const ids = (...rows: number[][]) =>
  new Tensor('int64', BigInt64Array.from(rows.flat(), BigInt), [rows.length, rows[0]!.length]);
const ones = (B: number, T: number) => new Tensor('int64', new BigInt64Array(B * T).fill(1n), [B, T]);
const inputsOf = (row: number[], data: Float32Array) => ({
  input_ids: ids(row),
  attention_mask: ones(1, row.length),
  pixel_values: new Tensor('float32', data, shape),
});
/** The last row of scores, [V]. */
const last = ({ logits }: Outputs, row = 0): Float32Array => {
  const [, S, V] = logits.dims as [number, number, number];
  return (logits.data as Float32Array).slice((row * S + S - 1) * V, (row * S + S) * V);
};
const argmax = (row: Float32Array) => row.indexOf(Math.max(...row));
const noisy = (data: Float32Array) => diffused(data, 500, 7);
const setting = { alpha: 1, beta: 0.1, seed: 7 };

describe.each(['llava', 'llava-gqa'])('%s', (name) => {
  let plain: LlavaForConditionalGeneration & ((inputs: object) => Promise<Outputs>);
  let model: Model;
  beforeAll(async () => {
    const { folder } = loadFixture(name);
    plain = (await LlavaForConditionalGeneration.from_pretrained(folder, { dtype: 'fp32' })) as never;
    model = (await from_pretrained(LlavaForConditionalGeneration as never, folder, {
      dtype: 'fp32',
    })) as Model;
  });
  afterAll(async () => {
    await plain.dispose();
    await model.dispose();
  });

  /** Greedy tokens of both streams run from scratch at each step, without attune. */
  async function byHand(prompt: number[], data: Float32Array, steps: number) {
    const sequence = [...prompt];
    const scores: Float32Array[] = [];
    for (let i = 0; i < steps; i++) {
      const first = last(await plain(inputsOf(sequence, data)));
      combine(first, last(await plain(inputsOf(sequence, noisy(data)))), setting);
      scores.push(first);
      sequence.push(argmax(first));
    }
    return { tokens: sequence.slice(prompt.length), scores };
  }

  test('α = β = 0 is the untouched model, bit for bit', async () => {
    const inputs = inputsOf(single.prompt, pixels);
    const untouched = (await plain(inputs)).logits.data as Float32Array;
    model.use([vcd({ alpha: 0, beta: 0 })]);
    expect((await model(inputs)).logits.data).toEqual(untouched);
    model.use([]);
    expect((await model(inputs)).logits.data).toEqual(untouched);
  });

  test('generates what both streams give when run by hand', async () => {
    const { tokens } = await byHand(single.prompt, pixels, 16);
    model.use([vcd(setting)]);
    const output = await model.generate({
      ...inputsOf(single.prompt, pixels),
      max_new_tokens: 16,
      eos_token_id: null,
    });
    expect((output.tolist() as bigint[][])[0]!.slice(single.prompt.length).map(Number)).toEqual(tokens);
    const untouched = await (plain as unknown as Model).generate({
      ...inputsOf(single.prompt, pixels),
      max_new_tokens: 16,
      eos_token_id: null,
    });
    expect(untouched.tolist()).not.toEqual(output.tolist());
  });

  test('a loop over a cache: scores of each step, calls that branch, several tokens at once', async () => {
    const { tokens, scores } = await byHand(single.prompt, pixels, 6);
    model.use([vcd(setting)]);
    const step = (past: object, newest: number[], length: number) =>
      model({ input_ids: ids(newest), attention_mask: ones(1, length), past_key_values: past });
    let outputs = await model(inputsOf(single.prompt, pixels));
    const afterPrompt = pastOf(outputs);
    for (const [i, token] of tokens.entries()) {
      expectClose(last(outputs), scores[i]!);
      if (i < tokens.length - 1) outputs = await step(pastOf(outputs), [token], single.prompt.length + i + 1);
    }
    // The same cache again, with two tokens in one call.
    const [a, b] = tokens as [number, number];
    outputs = await step(afterPrompt, [a, b], single.prompt.length + 2);
    expectClose(last(outputs), scores[2]!);
  });

  test('other interventions act in both streams', async () => {
    const gamma = zeroTuning({ gamma: 1.8 });
    const run = async (data: Float32Array) => last(await model(inputsOf(single.prompt, data)));
    model.use([gamma]);
    const wanted = await run(pixels);
    combine(wanted, await run(noisy(pixels)), setting);
    model.use([gamma, vcd(setting)]);
    expectClose(await run(pixels), wanted);
    expect(model.attune.interventions.map(({ intervention }) => intervention)).toEqual(['zerotuning', 'vcd']);
  });

  test('a prompt without a picture has nothing to contrast', async () => {
    const text = { input_ids: ids([1, 20, 21]), attention_mask: ones(1, 3) };
    model.use([vcd(setting)]);
    expect((await model(text)).logits.data).toEqual((await plain(text)).logits.data);
  });

  test('a cache that was made without the second stream is refused', async () => {
    model.use([]);
    const past = pastOf(await model(inputsOf(single.prompt, pixels)));
    model.use([vcd(setting)]);
    const step = {
      input_ids: ids([5]),
      attention_mask: ones(1, single.prompt.length + 1),
      past_key_values: past,
    };
    await expect(model(step)).rejects.toThrow(/STATE_MISMATCH.*unknown origin/);
    const other = pastOf(await model(inputsOf(single.prompt, pixels)));
    model.use([vcd({ ...setting, alpha: 0.5 })]);
    await expect(model({ ...step, past_key_values: other })).rejects.toThrow(/another setting of vcd/);
  });
});

test('each row of a batch has its own noise', async () => {
  const folder = fileURLToPath(new URL('../testbed/models/worlds-vlm', import.meta.url));
  const options = { dtype: 'fp32' as const, interventions: [vcd({ seed: 7 })] };
  const model = (await from_pretrained(LlavaForConditionalGeneration as never, folder, options)) as Model;
  const [image, size] = [model.config.image_token_index ?? model.config.image_token_id, 3 * 64 * 64];
  const prompt = [1, 3, ...new Array(64).fill(image), 20, 21, 4];
  const pictures = [0, 1].map((which) =>
    Float32Array.from({ length: size }, (_, i) => Math.sin(i * (which + 1))),
  );
  const of = (data: Float32Array, images: number) => ({
    input_ids: ids(...new Array(images).fill(prompt)),
    attention_mask: ones(images, prompt.length),
    pixel_values: new Tensor('float32', data, [images, 3, 64, 64]),
  });
  const together = await model(of(Float32Array.from(pictures.flatMap((one) => [...one])), 2));
  for (const [row, one] of pictures.entries())
    expectClose(last(together, row), last(await model(of(one, 1))));
  await model.dispose();
});

test('a model without pictures refuses', async () => {
  const model = await load('llama-gqa');
  expect(() => model.use([vcd({})])).toThrow(/INTERVENTION_REFUSED.*without image tokens/);
  await model.dispose();
});

test('the noise schedule is that of 1,000 steps', () => {
  // By a separate program in Python.
  expect(remainingSignal(0)).toBeCloseTo(0.9999776616104484, 12);
  expect(remainingSignal(500)).toBeCloseTo(0.7447985260430766, 12);
  expect(remainingSignal(999)).toBeCloseTo(0.0812491943039999, 12);
});

test('noise is normal, the same for the same picture, another for another', () => {
  const zeros = new Float32Array(20_000);
  const noise = diffused(zeros, 999, 1).map((value) => value / Math.sqrt(1 - remainingSignal(999)));
  const mean = noise.reduce((sum, value) => sum + value, 0) / noise.length;
  const variance = noise.reduce((sum, value) => sum + (value - mean) ** 2, 0) / noise.length;
  const beyond = noise.filter((value) => Math.abs(value) > 1.96).length / noise.length;
  // Five standard errors each.
  expect(Math.abs(mean)).toBeLessThan(5 / Math.sqrt(20_000));
  expect(Math.abs(variance - 1)).toBeLessThan(5 * Math.sqrt(2 / 20_000));
  expect(Math.abs(beyond - 0.05)).toBeLessThan(5 * Math.sqrt((0.05 * 0.95) / 20_000));
  expect(diffused(zeros, 999, 1)).toEqual(diffused(zeros, 999, 1));
  expect(diffused(zeros, 999, 1)).not.toEqual(diffused(zeros, 999, 2));
  const other = new Float32Array(20_000).fill(0.1);
  const correlation =
    diffused(other, 999, 1).reduce((sum, value, i) => sum + (value - 0.1) * noise[i]!, 0) / 20_000;
  expect(Math.abs(correlation)).toBeLessThan(0.05);
});

function pastOf(outputs: Outputs): Record<string, Tensor> {
  return Object.fromEntries(
    Object.entries(outputs)
      .filter(([key]) => key.startsWith('present'))
      .map(([key, value]) => [key.replace('present', 'past_key_values'), value]),
  );
}

/** float32, streams summed in another order with a cache than without. */
function expectClose(found: Float32Array, wanted: Float32Array): void {
  expect(found.length).toBe(wanted.length);
  for (const [i, value] of wanted.entries()) {
    if (Number.isFinite(value)) expect(Math.abs(found[i]! - value)).toBeLessThan(2e-4);
    else expect(found[i]).toBe(value);
  }
}
