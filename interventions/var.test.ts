/** VAR on live models: exact when it has nothing to do, rows independent, images wherever they stand. */
import { Tensor } from '@huggingface/transformers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { batch, load, maxDifference } from '../hooks/model/attuned.test-support.ts';
import {
  decodeLogits,
  IMAGE_TOKEN,
  imagePrompts,
  LLAVA_FORMS,
  type LlavaModel,
  llavaCases,
  loadLlava,
  nextTokens,
} from '../hooks/model/llava.test-support.ts';
import { eachRow, interventionFromJSON, visualRedistribution } from './index.ts';

const settings = visualRedistribution({ dimensions: [6, 14, 18], tau: 2.2, layers: 'all' });
const neutral = visualRedistribution({ dimensions: [6, 14, 18], tau: 2.2, layers: 'all', p: 0 });
const [a, b] = llavaCases() as [ReturnType<typeof llavaCases>[0], ReturnType<typeof llavaCases>[0]];
const text = [1, 9, 65, 69, 12, 40];

describe.each(LLAVA_FORMS)('%s', (form) => {
  let model: LlavaModel;
  let plain: LlavaModel;
  beforeAll(async () => {
    model = await loadLlava(form, { prepare: [visualRedistribution.kind] });
    plain = await loadLlava(form);
  });
  afterAll(async () => {
    await model.dispose();
    await plain.dispose();
  });
  const steps = (rows: number) => [new Array<number>(rows).fill(20), new Array<number>(rows).fill(31)];

  test.each([
    ['not in use', []],
    ['p = 0', [neutral]],
    ['no image', [settings]],
  ])('%s: not a bit changes', async (what, interventions) => {
    model.use(interventions);
    const prompts = what === 'no image' ? imagePrompts([text]) : imagePrompts([a.prompt], [a.pixels]);
    expect(await decodeLogits(model, prompts, steps(1))).toEqual(
      await decodeLogits(plain, prompts, steps(1)),
    );
  });

  test('rows with other spans, padding and no image are what they are alone, also while decoding', async () => {
    model.use([settings]);
    const rows = [a.prompt, text, b.prompt];
    const together = await decodeLogits(model, imagePrompts(rows, [a.pixels, b.pixels]), steps(3));
    const alone = [
      await decodeLogits(model, imagePrompts([a.prompt], [a.pixels]), steps(1)),
      await decodeLogits(model, imagePrompts([text]), steps(1)),
      await decodeLogits(model, imagePrompts([b.prompt], [b.pixels]), steps(1)),
    ];
    const untouched = await decodeLogits(plain, imagePrompts([a.prompt], [a.pixels]), steps(1));
    expect(maxDifference(alone[0]![2]!, untouched[2]!)).toBeGreaterThan(0.05);
    for (const [call, logits] of together.entries()) {
      for (const [row, single] of alone.entries()) {
        const own = single[call]!;
        const end = ((row + 1) * logits.length) / rows.length;
        expect(
          maxDifference(logits.slice(end - own.length, end), own),
          `row ${row} of call ${call}`,
        ).toBeLessThan(1e-4);
      }
    }
  });

  test('every row of a batch may have a setting of its own', async () => {
    const other = visualRedistribution({ dimensions: [14], tau: 2, p: 1, layers: [0] });
    const prompts = imagePrompts([a.prompt, a.prompt], [a.pixels, a.pixels]);
    model.use([eachRow([settings, other])]);
    const both = await decodeLogits(model, prompts, steps(2));
    for (const [row, one] of [settings, other].entries()) {
      model.use([one]);
      const alone = await decodeLogits(model, imagePrompts([a.prompt], [a.pixels]), steps(1));
      for (const [call, logits] of alone.entries()) {
        const own = both[call]!.slice(row * logits.length, (row + 1) * logits.length);
        expect(maxDifference(own, logits)).toBeLessThan(1e-4);
      }
    }
  });

  test('a prompt in two pieces is the prompt in one', async () => {
    model.use([settings]);
    const whole = await model(imagePrompts([a.prompt], [a.pixels]));
    const cut = a.prompt.lastIndexOf(IMAGE_TOKEN) + 1;
    const head = imagePrompts([a.prompt.slice(0, cut)], [a.pixels]);
    const first = await model(head);
    const rest = imagePrompts([a.prompt.slice(cut)]);
    const mask = imagePrompts([a.prompt]).attention_mask;
    const { past_key_values } = nextTokens([0], head.attention_mask, first);
    const second = await model({ input_ids: rest.input_ids, attention_mask: mask, past_key_values });
    const tail = (whole.logits.data as Float32Array).slice(-(second.logits.data as Float32Array).length);
    expect(maxDifference(second.logits.data as Float32Array, tail)).toBeLessThan(1e-4);
  });

  test('a cache that was made without it is refused', async () => {
    model.use([]);
    const prompts = imagePrompts([a.prompt], [a.pixels]);
    const next = nextTokens([20], prompts.attention_mask, await model(prompts));
    model.use([settings]);
    await expect(model(next)).rejects.toThrow(/STATE_MISMATCH/);
  });

  test('embeddings without token ids are refused', async () => {
    model.use([settings]);
    const inputs_embeds = new Tensor('float32', new Float32Array(6 * 32).fill(0.1), [1, 6, 32]);
    const call = model({ inputs_embeds, attention_mask: imagePrompts([text]).attention_mask });
    await expect(call).rejects.toThrow(/IMAGE_SPANS_UNKNOWN/);
  });

  test('a dimension beyond the hidden size is refused', () => {
    expect(() => model.use([visualRedistribution({ dimensions: 'llama-2-7b' })])).toThrow(
      /DIMENSION_OUT_OF_RANGE.*1415.*0 to 31/,
    );
  });
});

test('a model without images is refused', async () => {
  const model = await load('llama-gqa');
  expect(() => model.use([settings])).toThrow(/INTERVENTION_REFUSED.*image_token/);
  await expect(model(batch([1, 5, 6]))).resolves.toBeDefined();
  await model.dispose();
});

test('its JSON is its specification, with defaults filled in', () => {
  const made = visualRedistribution({ dimensions: 'llama-2-7b' });
  expect(made.toJSON()).toEqual({
    intervention: 'var',
    dimensions: 'llama-2-7b',
    tau: 20,
    rho: 0.5,
    p: 0.6,
    minVisual: 0.2,
    layers: 'auto',
    semantics: 'paper',
  });
  expect(interventionFromJSON(made.toJSON()).hash).toBe(made.hash);
});
