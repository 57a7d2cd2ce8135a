/** VHR on live models: exact when it has nothing to do, rows independent, reports that say what was chosen. */
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
import { eachRow, headScale, interventionFromJSON, vhr, visualRedistribution } from './index.ts';
import { chosenLayers } from './vhr.ts';

const [a, b] = llavaCases() as [ReturnType<typeof llavaCases>[0], ReturnType<typeof llavaCases>[0]];
const text = [1, 9, 65, 69, 12, 40];
const settings = vhr({ layers: 'all' });
type Table = { dims: readonly number[]; data: Float32Array };

describe.each(LLAVA_FORMS)('%s', (form) => {
  let model: LlavaModel;
  let plain: LlavaModel;
  beforeAll(async () => {
    model = await loadLlava(form, { prepare: [vhr.kind] });
    plain = await loadLlava(form);
  });
  afterAll(async () => {
    await model.dispose();
    await plain.dispose();
  });
  const steps = (rows: number) => [new Array<number>(rows).fill(20), new Array<number>(rows).fill(31)];

  test.each([
    ['not in use', []],
    ['α = 1', [vhr({ alpha: 1 })]],
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
    const factors = model.attune.reports.get('vhr.factor') as Table;
    expect(factors.dims).toEqual([3, 2, 2]);
    expect(Array.from(factors.data.subarray(4, 8))).toEqual([1, 1, 1, 1]);
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

  test('does not depend on the order in which its edits are built', async () => {
    const prompts = imagePrompts([a.prompt], [a.pixels]);
    model.use([settings]);
    const wanted = await decodeLogits(model, prompts, steps(1));
    const factors = model.attune.reports.get('vhr.factor');
    const kind: typeof vhr.kind = {
      ...vhr.kind,
      plan: (facts, variant) => {
        const { edits = [], ...plan } = vhr.kind.plan(facts, variant);
        return { ...plan, edits: [...edits].reverse() };
      },
    };
    const reversed = await loadLlava(form, { interventions: [{ ...settings, kind }] });
    try {
      expect(await decodeLogits(reversed, prompts, steps(1))).toEqual(wanted);
      expect(reversed.attune.reports.get('vhr.factor')).toEqual(factors);
    } finally {
      await reversed.dispose();
    }
  });

  test('decoding is head scale with the heads it reports', async () => {
    model.use([settings]);
    const prompts = imagePrompts([a.prompt], [a.pixels]);
    const reinforced = await decodeLogits(model, prompts, steps(1));
    const { data } = model.attune.reports.get('vhr.factor') as Table;
    const heads = [...data.keys()].filter((i) => data[i] === 2).map((i): [number, number] => [i >> 1, i & 1]);
    expect(heads).toHaveLength(2);
    expect(model.attune.reports.get('vhr.reference_ms')).toBeGreaterThan(0);
    plain.use([headScale({ scale: 2, heads })]);
    const scaled = await decodeLogits(plain, prompts, steps(1));
    plain.use([]);
    for (const [call, logits] of reinforced.entries()) {
      expect(maxDifference(logits, scaled[call]!)).toBeLessThan(1e-5);
    }
  });

  test('every row of a batch may have a setting of its own, beside another intervention', async () => {
    const other = vhr({ alpha: 0.5, layers: [1] });
    const redistribution = visualRedistribution({ dimensions: [6, 14, 18], tau: 2.2, layers: 'all' });
    const prompts = imagePrompts([a.prompt, a.prompt], [a.pixels, a.pixels]);
    model.use([eachRow([settings, other]), redistribution]);
    const both = await decodeLogits(model, prompts, steps(2));
    for (const [row, one] of [settings, other].entries()) {
      model.use([one, redistribution]);
      const alone = await decodeLogits(model, imagePrompts([a.prompt], [a.pixels]), steps(1));
      for (const [call, logits] of alone.entries()) {
        const own = both[call]!.slice(row * logits.length, (row + 1) * logits.length);
        expect(maxDifference(own, logits)).toBeLessThan(1e-4);
      }
    }
  });
});

test('places may be kept only where the model takes them', async () => {
  const prompts = imagePrompts([a.prompt], [a.pixels]);
  const kept = await loadLlava('llava', { interventions: [vhr({ positions: 'kept' })] });
  await kept(prompts);
  const vhd = Array.from((kept.attune.reports.get('vhr.vhd') as Table).data);
  kept.use([vhr({})]);
  await kept(prompts);
  expect(maxDifference(vhd, (kept.attune.reports.get('vhr.vhd') as Table).data)).toBeGreaterThan(1e-3);
  await kept.dispose();
  const counting = await loadLlava('llava-gqa', { interventions: [vhr({ positions: 'kept' })] });
  await expect(counting(prompts)).rejects.toThrow(/REFERENCE_POSITIONS.*numbers tokens by itself/);
  await counting.dispose();
});

test('layers by default: of 32 those of the paper, of others in proportion', () => {
  const of = (length: number) => chosenLayers({ decoder: { length } as never }, 'auto');
  expect(of(32)).toEqual([1, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31]);
  expect(of(8)).toEqual([1, 4, 5, 6, 7]);
  expect(of(2)).toEqual([1]);
  expect(of(1)).toEqual([0]);
});

test('a model without images is refused', async () => {
  const model = await load('llama-gqa');
  expect(() => model.use([vhr({})])).toThrow(/INTERVENTION_REFUSED.*image_token/);
  await model.dispose();
});

test('its JSON is its specification, with defaults filled in', () => {
  const made = vhr({ alpha: 3 });
  expect(made.toJSON()).toEqual({
    intervention: 'vhr',
    alpha: 3,
    layers: 'auto',
    prune: true,
    deviation: 'sample',
    positions: 'renumbered',
  });
  expect(interventionFromJSON(made.toJSON()).hash).toBe(made.hash);
});
