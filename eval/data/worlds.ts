/**
 * Records of the testbed's worlds (eval/data/worlds), made when they are asked for: no file, and as many as one likes.
 * A record is a pure function of world, split, seed and number.
 */
import { z } from 'zod';
import { AttuneError } from '../../errors.ts';
import type { DataRecord } from './records.ts';
import {
  NEGATIVES,
  PICTURE_TASKS,
  type PictureItem,
  type PictureTask,
  pictureItems,
} from './worlds/pictures/index.ts';
import { SPLITS, type Split } from './worlds/split.ts';
import { TEXT_TASKS, type TextItem, type TextTask, textItems } from './worlds/text/index.ts';

export const worldSourceSchema = z.strictObject({
  world: z.enum([...TEXT_TASKS, ...PICTURE_TASKS]).describe('task of the text world or of the picture world'),
  items: z.int().positive().default(3000).describe('records, where no limit asks for fewer'),
  each: z
    .enum(['item', 'cluster'])
    .default('item')
    .describe('cluster: only the first item of those that differ in the place of the answer'),
  documents: z.int().min(2).optional().describe('documents of a prompt (documents alone); default 5'),
  negatives: z
    .enum(NEGATIVES)
    .optional()
    .describe('which absent things are asked for (existence alone); default random'),
  length: z
    .enum(['short', 'medium', 'long'])
    .optional()
    .describe('of captions (caption alone); default medium'),
});

export type WorldSource = z.output<typeof worldSourceSchema>;

/** What a record's fields are: a TextItem with its segments beside the rest, a PictureItem with its scene's id. */
const textFields = ({ segments, more: _, ...item }: TextItem): Record<string, unknown> => ({
  ...item,
  ...segments,
});
const pictureFields = ({ scene, ...item }: PictureItem): Record<string, unknown> => ({
  ...item,
  scene: scene.id,
});

/** Name of the records of one split and seed, where a file's name would stand. */
export const worldName = (
  { world, documents, negatives, length }: WorldSource,
  split: string,
  seed: number,
): string =>
  `${world}${documents === undefined ? '' : ` of ${documents}`}${[negatives, length].map((kind) => (kind ? `-${kind}` : '')).join('')}/${split}/${seed}`;

/**
 * @param split training items are what the models have seen, with the habits that bias them; the others are balanced.
 * @param n the first so many; a longer list begins with the shorter one.
 * @throws AttuneError TASK_SPLIT
 */
export function worldRecords(source: WorldSource, split: string, n: number, seed: number): DataRecord[] {
  const file = worldName(source, known(split), seed);
  return fieldsOf(source, known(split), n, seed).map((fields, index) => ({ fields, file, line: index + 1 }));
}

function fieldsOf(source: WorldSource, split: Split, n: number, seed: number): Record<string, unknown>[] {
  const { world, negatives, length } = source;
  if (!isPictureTask(world)) return textItemsOf(world, source, split, n, seed).map(textFields);
  const options = { ...(negatives && { negatives }), ...(length && { length }) };
  return pictureItems(world, split, n, seed, options).map(pictureFields);
}

const isPictureTask = (world: TextTask | PictureTask): world is PictureTask =>
  (PICTURE_TASKS as readonly string[]).includes(world);

function textItemsOf(
  world: TextTask,
  { each, documents }: WorldSource,
  split: Split,
  n: number,
  seed: number,
): TextItem[] {
  const options = documents === undefined ? {} : { documents };
  if (each === 'item') return textItems(world, split, n, seed, options);
  for (let drawn = 2 * n; ; drawn *= 2) {
    const items = textItems(world, split, drawn, seed, options);
    const firsts = items.filter(({ cluster }, i) => items[i - 1]?.cluster !== cluster);
    if (firsts.length >= n) return firsts.slice(0, n);
  }
}

function known(split: string): Split {
  const found = SPLITS.find((one) => one === split);
  if (found !== undefined) return found;
  throw new AttuneError('TASK_SPLIT', {
    found: `the split "${split}"`,
    expected: SPLITS.join(', '),
  });
}
