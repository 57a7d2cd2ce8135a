/**
 * Writes what the PyTorch programs read:
 *   npm run testbed:data -- [--out .attune/testbed/data] [--text 120000] [--pictures 60000] [--seed 1]
 *
 * text/exercises.jsonl                   balanced training items (see TextOptions.balanced) in random order
 * text/train.jsonl                       training items with their habits, in random order, a third as many
 * pictures/primer.rgb, primer.jsonl      the same of simple scenes, for the first steps
 * pictures/train.rgb, train.jsonl        64 × 64 × 3 bytes a scene; a line with its things and its conversations
 * {text,pictures}/{validation,test}.*    items as `textItems` and `pictureItems` make them at run time, seed 0
 */
import { once } from 'node:events';
import { createWriteStream, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import { parseArgs } from 'node:util';
import { conversationsOf, primerOf } from './pictures/conversations.ts';
import {
  NEGATIVES,
  PICTURE_TASKS,
  type PictureItem,
  pictureItems,
  render,
  type Scene,
  sceneOf,
} from './pictures/index.ts';
import { random } from './random.ts';
import type { Split } from './split.ts';
import { TEXT_TASKS, type TextItem, type TextTask, textItems } from './text/index.ts';

/** Items of each task in the training text, as a share of `--text`; how often each is drawn, and when, is train_lm.py's. */
const MIX: Record<TextTask, number> = {
  sentiment: 0.16,
  topic: 0.12,
  choice: 0.2,
  documents: 0.24,
  judge: 0.18,
  story: 0.05,
  recital: 0.05,
  roll: 0.08,
  kinds: 0.04,
};

/** Items per task in the validation and test files: multiples of every cluster size. */
const HELD_OUT: readonly [Split, number][] = [
  ['validation', 600],
  ['test', 3000],
];

async function write(path: string, chunks: Iterable<string | Uint8Array>): Promise<void> {
  const stream = createWriteStream(path);
  for (const chunk of chunks) {
    if (!stream.write(chunk)) await once(stream, 'drain');
  }
  stream.end();
  await finished(stream);
}

function* lines(values: Iterable<unknown>): Generator<string> {
  for (const value of values) yield `${JSON.stringify(value)}\n`;
}

const trainingRow = ({ task, prompt, target, more }: TextItem): unknown => ({ task, prompt, target, more });

async function writeText(folder: string, n: number, seed: number): Promise<void> {
  mkdirSync(folder, { recursive: true });
  for (const [name, share, options] of [
    ['exercises', 1, { balanced: true }],
    ['train', 1 / 3, {}],
  ] as const) {
    const items = TEXT_TASKS.flatMap((task) =>
      textItems(task, 'train', Math.round(n * share * MIX[task]), seed + (options.balanced ? 1 : 0), options),
    );
    await write(
      join(folder, `${name}.jsonl`),
      lines(random(`order/${seed}`).shuffle(items).map(trainingRow)),
    );
  }
  for (const [split, each] of HELD_OUT) {
    await write(
      join(folder, `${split}.jsonl`),
      lines(TEXT_TASKS.flatMap((task) => textItems(task, split, each))),
    );
  }
}

async function writePictures(folder: string, n: number, seed: number): Promise<void> {
  mkdirSync(folder, { recursive: true });
  const scenes = function* (): Generator<Scene> {
    for (let i = 0; i < n; i++) yield sceneOf('train', seed, i);
  };
  const rows = function* (): Generator<unknown> {
    for (const scene of scenes()) yield { things: scene.things, turns: conversationsOf(scene) };
  };
  const pixels = function* (all: Iterable<Scene>): Generator<Uint8Array> {
    for (const scene of all) yield render(scene).data;
  };
  await write(join(folder, 'train.rgb'), pixels(scenes()));
  await write(join(folder, 'train.jsonl'), lines(rows()));
  const primers = Array.from({ length: Math.ceil(n / 5) }, (_, i) => primerOf(seed, i));
  await write(join(folder, 'primer.rgb'), pixels(primers.map(({ scene }) => scene)));
  await write(
    join(folder, 'primer.jsonl'),
    lines(primers.map(({ scene, turns }) => ({ things: scene.things, turns }))),
  );
  for (const [split, each] of HELD_OUT) {
    const items = PICTURE_TASKS.flatMap((task) =>
      task === 'existence'
        ? NEGATIVES.flatMap((negatives) => pictureItems(task, split, each, 0, { negatives }))
        : task === 'caption'
          ? (['medium', 'long'] as const).flatMap((length) =>
              pictureItems(task, split, each / 6, 0, { length }),
            )
          : pictureItems(task, split, each),
    );
    const held = new Map(items.map(({ scene }) => [scene.id, scene]));
    const place = new Map([...held.keys()].map((id, i) => [id, i]));
    const row = ({ scene, ...item }: PictureItem): unknown => ({ ...item, picture: place.get(scene.id) });
    await write(join(folder, `${split}.rgb`), pixels(held.values()));
    await write(join(folder, `${split}.jsonl`), lines(items.map(row)));
  }
}

const { values: args } = parseArgs({
  options: {
    out: { type: 'string', default: '.attune/testbed/data' },
    text: { type: 'string', default: '120000' },
    pictures: { type: 'string', default: '60000' },
    seed: { type: 'string', default: '1' },
  },
});
if (Number(args.text) > 0) await writeText(join(args.out, 'text'), Number(args.text), Number(args.seed));
if (Number(args.pictures) > 0)
  await writePictures(join(args.out, 'pictures'), Number(args.pictures), Number(args.seed));
