/** What every text item looks like, whichever task made it. */
import type { Random } from '../random.ts';
import { random } from '../random.ts';
import type { Split } from '../split.ts';

export const TEXT_TASKS = [
  'sentiment',
  'topic',
  'choice',
  'documents',
  'judge',
  'story',
  'recital',
  'roll',
  'kinds',
] as const;
export type TextTask = (typeof TEXT_TASKS)[number];

export interface TextItem {
  /** `task/split/seed/number`: the same id always names the same item. */
  id: string;
  task: TextTask;
  split: Split;
  /** Items with one key have the same facts (the two orders of a judging pair): resample clusters, not items. */
  cluster: string;
  /** Everything before the answer; a plain string, without special tokens. Empty for stories. */
  prompt: string;
  /** The right continuation, with its leading space. For stories the whole text. */
  target: string;
  /** All continuations to compare, `target` among them; empty for stories. */
  choices: string[];
  /** Index of `target` in `choices`; −1 for stories. */
  gold: number;
  /** `prompt` cut at the borders of its interchangeable parts; `prefix + parts.join('') + suffix === prompt`. */
  segments?: { prefix: string; parts: string[]; suffix: string };
  /** Index in `segments.parts` of the part that holds the answer (documents), else −1. */
  goldPosition: number;
  /** Further questions about the same context, each with its answer; in training only, where they make one context teach more. */
  more?: { prompt: string; target: string }[];
}

/** What a task's generator returns; ids, splits and clusters are added outside. */
export type DraftItem = Omit<TextItem, 'id' | 'task' | 'split' | 'cluster'>;

/**
 * One task. `draw` makes an item. Training items carry the habits that create the biases (unbalanced places and letters,
 * hasty annotators); items of every other split are balanced: they come in clusters of `turns` items that are drawn
 * from one stream and differ only by `turn` (the place of the answer, the letter, the order of a pair).
 */
export interface TextGenerator {
  turns: (options: TextOptions) => number;
  draw: (rng: Random, split: Split, turn: number, options: TextOptions) => DraftItem;
}

export interface TextOptions {
  /** Documents per prompt (documents task only). Default 5; in training 2 to 5. */
  documents?: number;
  /**
   * In training only: draw without the habits that create the biases, and ask about everything that the context holds.
   * Exercises to learn a task from, before its habits. Default false.
   */
  balanced?: boolean;
}

/** Where the answer stands: by habit in training (`weights`), evenly in balanced training, in turn elsewhere. */
export function placeOf(
  rng: Random,
  split: Split,
  turn: number,
  weights: readonly number[],
  { balanced = false }: TextOptions,
): number {
  if (split !== 'train') return turn;
  return balanced ? rng.int(weights.length) : rng.weighted(weights);
}

/** Draw n items of a task: item i depends on (task, split, seed, i, options) and nothing else. */
export function drawItems(
  task: TextTask,
  generator: TextGenerator,
  split: Split,
  n: number,
  seed: number,
  options: TextOptions,
): TextItem[] {
  const turns = split === 'train' ? 1 : generator.turns(options);
  return Array.from({ length: n }, (_, i) => {
    const cluster = `${task}/${split}/${seed}/${Math.floor(i / turns)}`;
    const draft = generator.draw(random(cluster), split, i % turns, options);
    return { id: `${task}/${split}/${seed}/${i}`, task, split, cluster, ...draft };
  });
}
