/** PAI and imbalanced attention on live models: exact when they have nothing to do, rows independent. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { load, maxDifference } from '../hooks/model/attuned.test-support.ts';
import {
  decodeLogits,
  imagePrompts,
  LLAVA_FORMS,
  type LlavaModel,
  llavaCases,
  loadLlava,
} from '../hooks/model/llava.test-support.ts';
import { laterLayers } from './image-gain.ts';
import { imbalancedAttention, interventionFromJSON, pai, visualRedistribution } from './index.ts';

const [a, b] = llavaCases() as [ReturnType<typeof llavaCases>[0], ReturnType<typeof llavaCases>[0]];
const text = [1, 9, 65, 69, 12, 40];
const amplified = pai({ alpha: 0.5, gamma: 1 });
const informed = imbalancedAttention({});

describe.each(LLAVA_FORMS)('%s', (form) => {
  let model: LlavaModel;
  let plain: LlavaModel;
  beforeAll(async () => {
    const prepare = [pai.kind, imbalancedAttention.kind, visualRedistribution.kind];
    model = await loadLlava(form, { prepare });
    plain = await loadLlava(form);
  });
  afterAll(async () => {
    await model.dispose();
    await plain.dispose();
  });
  const steps = (rows: number) => [new Array<number>(rows).fill(20), new Array<number>(rows).fill(31)];

  test.each([
    ['not in use', []],
    ['α = 0', [pai({ alpha: 0, gamma: 1 })]],
    ['no image', [amplified]],
  ])('%s: not a bit changes', async (what, interventions) => {
    model.use(interventions);
    const prompts = what === 'no image' ? imagePrompts([text]) : imagePrompts([a.prompt], [a.pixels]);
    expect(await decodeLogits(model, prompts, steps(1))).toEqual(
      await decodeLogits(plain, prompts, steps(1)),
    );
  });

  test.each([
    ['pai', amplified],
    ['imbalanced attention', informed],
  ])('%s: rows with other spans, padding and no image are what they are alone', async (_name, one) => {
    model.use([one]);
    const rows = [a.prompt, text, b.prompt];
    const together = await decodeLogits(model, imagePrompts(rows, [a.pixels, b.pixels]), steps(3));
    const alone = [
      await decodeLogits(model, imagePrompts([a.prompt], [a.pixels]), steps(1)),
      await decodeLogits(model, imagePrompts([text]), steps(1)),
      await decodeLogits(model, imagePrompts([b.prompt], [b.pixels]), steps(1)),
    ];
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

  test('only the last row of a prompt changes, and in one layer only its own output', async () => {
    model.use([pai({ alpha: 0.5, gamma: 1, layers: [1] })]);
    const prompts = imagePrompts([a.prompt], [a.pixels]);
    const edited = (await model(prompts)).logits.data as Float32Array;
    const untouched = (await plain(prompts)).logits.data as Float32Array;
    const last = edited.length - edited.length / a.prompt.length;
    expect(maxDifference(edited.slice(0, last), untouched.slice(0, last))).toBeLessThan(1e-5);
    expect(maxDifference(edited.slice(last), untouched.slice(last))).toBeGreaterThan(0.1);
  });

  test('the two exclude each other; VAR may stand beside either', async () => {
    expect(() => model.use([amplified, informed])).toThrow(/INTERVENTION_CONFLICT/);
    const prompts = imagePrompts([a.prompt], [a.pixels]);
    const redistribution = visualRedistribution({ dimensions: [6, 14, 18], tau: 2.2, layers: 'all' });
    const runs: Float32Array[] = [];
    for (const interventions of [[informed], [redistribution], [informed, redistribution]]) {
      model.use(interventions);
      runs.push((await model(prompts)).logits.data as Float32Array);
    }
    expect(maxDifference(runs[2]!, runs[0]!)).toBeGreaterThan(0.05);
    expect(maxDifference(runs[2]!, runs[1]!)).toBeGreaterThan(0.05);
  });
});

test('layers by default: of 32 all but the first two, of others in proportion', () => {
  const of = (length: number) => laterLayers({ decoder: { length } as never });
  expect(of(32)[0]).toBe(2);
  expect(of(32)).toHaveLength(30);
  expect(of(16)[0]).toBe(1);
  expect(of(2)).toEqual([0, 1]);
});

test.each([pai({}), imbalancedAttention({})])(
  '$intervention is refused without images; its JSON is its specification',
  async (one) => {
    const model = await load('llama-gqa');
    expect(() => model.use([one])).toThrow(/INTERVENTION_REFUSED.*image_token/);
    await model.dispose();
    expect(interventionFromJSON(one.toJSON()).hash).toBe(one.hash);
  },
);
