/** A vision-language model in evaluation, against PyTorch's values and against the library as it is. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { RawImage } from '@huggingface/transformers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { render, sceneOf } from '../data/worlds/pictures/index.ts';
import { scoreItem } from '../outputs/score-item.ts';
import { encodePair } from '../scoring/encode.ts';
import { builtinTasks } from '../tasks/builtin/index.ts';
import { defineTask } from '../tasks/definition.ts';
import { loadItems } from '../tasks/items.ts';
import { type EvalModel, loadEvalModel, readIntervention } from './load.ts';

const WORLDS = fileURLToPath(new URL('../../testbed/models/worlds-vlm', import.meta.url));
const golden: { item: string; scene: string; ids: number[]; logits: number[]; text: string }[] = JSON.parse(
  readFileSync(join(WORLDS, 'golden.json'), 'utf8'),
).cases;

let model: EvalModel;
beforeAll(async () => {
  model = await loadEvalModel(WORLDS);
});
afterAll(() => model.dispose());

const folder = mkdtempSync(join(tmpdir(), 'attune-pictures-'));
afterAll(() => rmSync(folder, { recursive: true }));

const itemsOf = async (name: string, limit: number) =>
  (await loadItems(builtinTasks.get(name)!, { root: '', limit })).items;

test('prompts are posed as PyTorch poses them, and yes and no have its log-likelihoods', async () => {
  const { ids, logits } = golden.find(({ item }) => item === 'existence-random/test/0/0')!;
  const [item] = await itemsOf('worlds-existence-random', 1);
  if (item?.output !== 'multiple_choice') throw new Error('another output');
  const posed = await model.language.encodeImagePrompt!(item.options[0]!.context, item.picture!);
  expect(model.language.encode(posed.text)).toEqual(ids);
  const score = await scoreItem(model.language, item, ['acc', 'precision']);
  const total = Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit), 0));
  item.options.forEach(({ continuation }, i) => {
    const { continuation: tokens } = encodePair(model.language, posed.text, continuation);
    expect(tokens).toHaveLength(1);
    // PyTorch's logits are written with six digits.
    expect(Math.abs(score.logLikelihoods[i]! - (logits[tokens[0]!]! - total))).toBeLessThan(5e-3);
  });
});

test('captions are those that PyTorch writes, and each object they invent is named', async () => {
  const expected = golden.find(({ item }) => item.startsWith('caption-medium'))!;
  const [item] = await itemsOf('worlds-captions-medium', 1);
  const score = await scoreItem(model.language, item!, ['chair_s', 'chair_i', 'length']);
  // The golden answer stops after 24 tokens.
  expect(score.text!.trim().startsWith(expected.text.trim().replace(/\W*\w*$/, ''))).toBe(true);
  expect(score.terms.chair_s![0]).toBe(score.absent!.length > 0 ? 1 : 0);
  if (item?.output !== 'caption') throw new Error('another output');
  for (const object of score.absent!) expect(item.objects).not.toContain(object);
  expect(score.cost.decodedTokens).toBeGreaterThan(0);
});

test('what is written and what is likelier agree on yes-or-no questions', async () => {
  const [likely, written] = await Promise.all(
    ['worlds-existence-popular', 'worlds-existence-popular-written'].map((name) => itemsOf(name, 8)),
  );
  for (const [i, item] of likely!.entries()) {
    const a = await scoreItem(model.language, item, ['acc', 'yes_rate']);
    const b = await scoreItem(model.language, written![i]!, ['acc', 'yes_rate']);
    expect(b.terms).toEqual(a.terms);
    expect(b.unparsable).toBe(false);
  }
});

describe('pictures from files', () => {
  const task = defineTask({
    name: 'own-pictures',
    output: 'multiple_choice',
    source: { file: 'questions.jsonl' },
    fields: { file: 'string' },
    image: '{{ file }}',
    prompt: 'Is there a cup in the picture?',
    choices: [' yes', ' no'],
    delimiter: '',
    target: '0',
    positive: 0,
    metrics: ['acc', 'yes_rate'],
  });
  const write = async (name: string, scene: number) => {
    const { data, width, height } = render(sceneOf('test', 0, scene));
    await new RawImage(Uint8ClampedArray.from(data), width, height, 3).save(join(folder, name));
  };

  test('a PNG of a scene is the scene', async () => {
    await write('scene.png', 0);
    const { writeFileSync } = await import('node:fs');
    writeFileSync(join(folder, 'questions.jsonl'), '{"file":"scene.png"}\n{"file":"scene/test/0/0"}\n');
    const { items } = await loadItems(task, { root: folder });
    expect(items[0]!.picture).toMatchObject({
      name: 'scene.png',
      sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
    const [png, scene] = [
      await scoreItem(model.language, items[0]!, ['acc']),
      await scoreItem(model.language, items[1]!, ['acc']),
    ];
    expect(png.logLikelihoods).toEqual(scene.logLikelihoods);
  });

  test('a file that is missing, or no picture, is named', async () => {
    const { writeFileSync } = await import('node:fs');
    writeFileSync(join(folder, 'questions.jsonl'), '{"file":"nowhere.png"}\n');
    await expect(loadItems(task, { root: folder })).rejects.toThrow(
      /DATA_IMAGE.*questions.jsonl:1.*nowhere\.png/,
    );
    writeFileSync(join(folder, 'text.png'), 'not a picture');
    writeFileSync(join(folder, 'questions.jsonl'), '{"file":"text.png"}\n');
    const { items } = await loadItems(task, { root: folder });
    await expect(scoreItem(model.language, items[0]!, ['acc'])).rejects.toThrow(/DATA_IMAGE.*text\.png/);
  });

  test('pictures lie below --images, and what moves is the same item', async () => {
    await write('other.png', 1);
    const { writeFileSync, mkdirSync, copyFileSync } = await import('node:fs');
    const images = join(folder, 'images');
    mkdirSync(images, { recursive: true });
    copyFileSync(join(folder, 'other.png'), join(images, 'other.png'));
    writeFileSync(join(folder, 'questions.jsonl'), '{"file":"other.png"}\n');
    const { itemHash } = await import('../runner/row.ts');
    const [here, there] = [
      await loadItems(task, { root: folder }),
      await loadItems(task, { root: folder, images }),
    ];
    expect(there.items[0]!.picture!.path).not.toBe(here.items[0]!.picture!.path);
    expect(itemHash(there.items[0]!)).toBe(itemHash(here.items[0]!));
  });
});

test('a contrast is scored too; a choice that it cuts off loses and is not unparsable', async () => {
  const items = await itemsOf('worlds-existence-random', 8);
  await model.use([readIntervention({ intervention: 'vcd', beta: 0.999 })]);
  const cut = [];
  for (const item of items) {
    const { logLikelihoods, unparsable, prediction } = await scoreItem(model.language, item, ['acc']);
    expect(unparsable).toBe(false);
    cut.push(...logLikelihoods.filter((value) => value === null));
    expect(logLikelihoods[prediction!]).not.toBe(null);
  }
  await model.use([]);
  expect(cut.length).toBeGreaterThan(0);
});

test('a model of text says that it sees no pictures', async () => {
  const text = await loadEvalModel(
    fileURLToPath(new URL('../../testbed/fixtures/llama-gqa', import.meta.url)),
  );
  const [item] = await itemsOf('worlds-count', 1);
  await expect(scoreItem(text.language, item!, ['acc'])).rejects.toThrow(
    /SCORE_NO_VISION.*scene\/test\/0\/0/,
  );
  await text.dispose();
});

test('a template that takes content as text, without special tokens in it', async () => {
  const llava = await loadEvalModel(fileURLToPath(new URL('../../testbed/fixtures/llava', import.meta.url)));
  const { text } = await llava.language.encodeImagePrompt!('abc', { name: 'scene/test/0/0' });
  expect(text).toMatch(/^user: (<image>)+\nabc\nassistant:$/);
  await llava.dispose();
});

test('number types: the decoder alone is quantised where only it has such a file, and weights tell models apart', async () => {
  const q4 = await loadEvalModel(WORLDS, { dtype: 'q4' });
  expect(q4.fingerprint).not.toBe(model.fingerprint);
  const [item] = await itemsOf('worlds-existence-random', 1);
  const [a, b] = [
    await scoreItem(q4.language, item!, ['acc']),
    await scoreItem(model.language, item!, ['acc']),
  ];
  expect(a.logLikelihoods).not.toEqual(b.logLikelihoods);
  expect(Math.abs(a.logLikelihoods[0]! - b.logLikelihoods[0]!)).toBeLessThan(2);
  await q4.dispose();
});
