/** Picture tasks: the testbed's, and those of published sets, whose questions are here and whose pictures are not. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { beside, onlyBeside } from '../../../testbed/only-where.test-support.ts';
import { readRecords } from '../../data/records.ts';
import { NEGATIVES, pictureItems } from '../../data/worlds/pictures/index.ts';
import type { Item } from '../../outputs/index.ts';
import { defineTask, type TaskDefinition } from '../definition.ts';
import { loadItems } from '../items.ts';
import { builtinTasks } from './index.ts';

const load = async (name: string, options = {}) =>
  (await loadItems(builtinTasks.get(name)!, { root: '', limit: 60, ...options })).items;
const context = (item: Item) =>
  item.output === 'multiple_choice' ? item.options[0]!.context : 'context' in item && item.context;

describe('worlds', () => {
  test.each(NEGATIVES)(
    'existence, %s: half yes in each picture, the same questions in both forms',
    async (negatives) => {
      const items = await load(`worlds-existence-${negatives}`, { split: 'calibration', seed: 3 });
      const made = pictureItems('existence', 'calibration', 60, 3, { negatives });
      expect(items.map(({ id, cluster }) => [id, cluster])).toEqual(
        made.map(({ id, cluster }) => [id, cluster]),
      );
      expect(items.map((item) => item.picture?.name)).toEqual(made.map(({ scene }) => scene.id));
      expect(items.map((item) => 'gold' in item && item.gold)).toEqual(made.map(({ gold }) => gold));
      expect(new Set(items.map(({ cluster }) => cluster)).size).toBe(15);
      const written = await load(`worlds-existence-${negatives}-written`, { split: 'calibration', seed: 3 });
      expect(written.map(context)).toEqual(items.map(context));
      expect(written.map((item) => item.output === 'yes_no' && item.label)).toEqual(
        made.map(({ gold }) => gold === 0),
      );
    },
  );

  test.each(['attribute', 'count', 'spatial'] as const)('%s', async (task) => {
    const items = await load(`worlds-${task}`);
    const made = pictureItems(task, 'test', 60, 0);
    expect(
      items.map((item) => item.output === 'multiple_choice' && item.options.map(({ text }) => text)),
    ).toEqual(made.map(({ choices }) => choices));
  });

  test('captions carry what is there, and the words for it', async () => {
    const items = await load('worlds-captions-long');
    const made = pictureItems('caption', 'test', 60, 0, { length: 'long' });
    expect(items.map((item) => item.output === 'caption' && item.objects)).toEqual(
      made.map(({ present }) => present),
    );
    expect(new Set(items.map(({ cluster }) => cluster)).size).toBe(60);
  });
});

const root = beside('data');
const images = mkdtempSync(join(tmpdir(), 'attune-images-'));
afterAll(() => rmSync(images, { recursive: true }));

/** Empty files under the pictures' names, which are all that loading needs. */
async function loadWithStandIns(name: string): Promise<Item[]> {
  const { source } = builtinTasks.get(name)!;
  if (!('file' in source)) throw new Error(`${name} has no file`);
  for await (const { fields } of readRecords(source, root)) {
    const file = fields.image ?? `COCO_val2014_${String(fields.image_id).padStart(12, '0')}.jpg`;
    writeFileSync(join(images, String(file)), '');
  }
  return load(name, { root, images, limit: undefined });
}

onlyBeside('data').describe('published sets', () => {
  test.each([
    [
      'pope-random',
      3000,
      500,
      'Is there a snowboard in the image? Please answer this question with one word.',
    ],
    ['pope-popular', 3000, 500, undefined],
    ['pope-adversarial', 3000, 500, undefined],
    ['pope-adversarial-written', 3000, 500, undefined],
    ['chair-captions', 500, 500, 'Please describe this image in detail.'],
    ['amber-generative', 1004, 1004, 'Describe this image.'],
    ['amber-existence', 4924, 1004, 'Is there a cloud in this image?'],
    ['amber-attribute', 7628, 1004, 'Is the sky sunny in this image?'],
    ['amber-relation', 1664, undefined, undefined],
  ] as const)('%s: %i items', async (name, n, pictures, prompt) => {
    const items = await loadWithStandIns(name);
    expect(items).toHaveLength(n);
    if (pictures)
      expect(new Set(items.map(({ picture }) => picture!.name)).size).toBeLessThanOrEqual(pictures);
    if (prompt) expect(context(items[0]!)).toBe(prompt);
    if (name.startsWith('pope')) {
      const yes = items.filter((item) =>
        item.output === 'yes_no' ? item.label : 'gold' in item && item.gold === 0,
      );
      expect(yes).toHaveLength(1500);
    }
  });

  test('objects of COCO images and of AMBER come from the other file', async () => {
    const coco = (await loadWithStandIns('chair-captions')).find(({ id }) => id === '757');
    expect(coco).toMatchObject({ objects: ['elephant'], picture: { name: 'COCO_val2014_000000000757.jpg' } });
    const [first] = await loadWithStandIns('amber-generative');
    expect(first).toMatchObject({
      imagined: ['cloud', 'sun', 'bird', 'dog', 'flower'],
      vocabulary: { kind: 'amber' },
    });
  });

  test('without the pictures the first missing one is named', async () => {
    const run = load('pope-random', { root, images: join(images, 'nowhere') });
    await expect(run).rejects.toThrow(
      /DATA_IMAGE.*coco_pope_random.json:1.*COCO_val2014_000000310196.jpg.*--images/,
    );
  });
});

test.each([
  ['precision without a positive choice', { metrics: ['precision'] }, /precision needs "positive"/],
  ['a picture with examples', { image: 'x', shots: 2 }, /no examples before it/],
  ['a picture with several prompts', { image: 'x', prompt: ['a', 'b'] }, /one prompt that is one template/],
] as const)('%s is refused', (_, change, message) => {
  const task = {
    name: 'bad',
    output: 'multiple_choice',
    source: { file: 'x.jsonl' },
    fields: { a: 'string' },
    prompt: '{{ a }}',
    choices: ['yes', 'no'],
    target: '0',
    metrics: ['acc'],
    ...change,
  };
  expect(() => defineTask(task)).toThrow(message);
});

test("AMBER's scores need its vocabulary, and captions take no examples", () => {
  const caption = (change: object) => () =>
    defineTask({
      name: 'bad',
      output: 'caption',
      source: { file: 'x.jsonl' },
      fields: { objects: 'list' },
      prompt: 'Describe.',
      target: '{{ objects | tojson }}',
      vocabulary: [['cup', 'mug']],
      maxTokens: 10,
      metrics: ['chair_s'],
      ...change,
    } satisfies Partial<TaskDefinition> & object);
  expect(caption({})).not.toThrow();
  expect(caption({ metrics: ['cog'] })).toThrow(/cog needs AMBER/);
  expect(caption({ shots: 1 })).toThrow(/TASK_INVALID/);
});
