/** The picture world: scenes, their pixels, and what can be asked about them. */
import { random } from '../random.ts';
import type { Split } from '../split.ts';
import { CAPTION_REQUESTS, type CaptionLength, captionOf } from './captions.ts';
import type { Kind } from './kinds.ts';
import {
  absentKinds,
  attribute,
  count,
  existence,
  type Negatives,
  type Question,
  spatial,
} from './questions.ts';
import { kindsOf, type Scene, sceneOf } from './scene.ts';

export { CAPTION_REQUESTS, type CaptionLength, captionOf, mentionsOf } from './captions.ts';
export { companionOf, KINDS, type Kind, PAIRS } from './kinds.ts';
export { NEGATIVES, type Negatives, trainingStatistics } from './questions.ts';
export { type Picture, render, SIZE, toPpm } from './raster.ts';
export { kindsOf, type Scene, sceneOf } from './scene.ts';

export const PICTURE_TASKS = ['existence', 'attribute', 'count', 'spatial', 'caption'] as const;
export type PictureTask = (typeof PICTURE_TASKS)[number];

export interface PictureItem {
  /** `task/split/seed/number`, existence with its kind of negatives. */
  id: string;
  task: PictureTask;
  split: Split;
  /** The scene's id: items about one picture are one cluster. */
  cluster: string;
  /** Draw it with `render`. */
  scene: Scene;
  /** The kinds that are there. */
  present: Kind[];
  /** Plain text, without the picture's place and without special tokens. */
  prompt: string;
  /** The right answer, with its leading space. */
  target: string;
  /** Answers to compare; empty for captions. */
  choices: string[];
  /** Index of `target` in `choices`; −1 for captions. */
  gold: number;
  /** How the absent kind was chosen (existence only). */
  negatives?: Negatives;
  /** The kind that is asked for (existence only). */
  asked?: Kind;
}

export interface PictureOptions {
  /** POPE's three ways to choose absent kinds. Default 'random'. */
  negatives?: Negatives;
  /** Length of the caption. Default 'medium'. */
  length?: CaptionLength;
}

/** Questions per picture in the existence task: half about present kinds, half about absent ones, as in POPE. */
export const EXISTENCE_PER_PICTURE = 4;

function existenceOf(scene: Scene, turn: number, negatives: Negatives): Question & { asked: Kind } {
  const half = EXISTENCE_PER_PICTURE / 2;
  const present = random(`present/${scene.id}`).shuffle(kindsOf(scene));
  const there = turn < half;
  const asked = there ? present[turn] : absentKinds(scene, negatives, half)[turn - half];
  return { ...existence(asked as Kind, there), asked: asked as Kind };
}

/**
 * n items of a task and split. Pure, and a longer list begins with the shorter one. Scenes that cannot carry the
 * question (fewer than two kinds for existence, no single thing for attribute …) are passed over.
 */
export function pictureItems(
  task: PictureTask,
  split: Split,
  n: number,
  seed = 0,
  { negatives = 'random', length = 'medium' }: PictureOptions = {},
): PictureItem[] {
  const items: PictureItem[] = [];
  const name =
    task === 'existence' ? `existence-${negatives}` : task === 'caption' ? `caption-${length}` : task;
  for (let i = 0; items.length < n; i++) {
    const scene = sceneOf(split, seed, i);
    const rng = random(`${name}/${scene.id}`);
    for (const question of questionsOf(task, scene, rng, negatives, length)) {
      if (items.length === n) break;
      items.push({
        id: `${name}/${split}/${seed}/${items.length}`,
        task,
        split,
        cluster: scene.id,
        scene,
        present: kindsOf(scene),
        gold: question.choices.indexOf(question.target),
        ...(task === 'existence' ? { negatives } : {}),
        ...question,
      });
    }
  }
  return items;
}

function questionsOf(
  task: PictureTask,
  scene: Scene,
  rng: ReturnType<typeof random>,
  negatives: Negatives,
  length: CaptionLength,
): (Question & { asked?: Kind })[] {
  const one = (question: Question | undefined): Question[] => (question ? [question] : []);
  switch (task) {
    case 'existence':
      return kindsOf(scene).length < EXISTENCE_PER_PICTURE / 2
        ? []
        : Array.from({ length: EXISTENCE_PER_PICTURE }, (_, turn) => existenceOf(scene, turn, negatives));
    case 'attribute':
      return one(attribute(rng, scene));
    case 'count':
      return [count(rng, scene)];
    case 'spatial':
      return one(spatial(rng, scene));
    case 'caption':
      return [{ prompt: CAPTION_REQUESTS[length], target: ` ${captionOf(scene, length)}`, choices: [] }];
  }
}
