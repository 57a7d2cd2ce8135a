/** The text world: six tasks (and three exercises for training alone) in short English made from word lists and sentence patterns of our own. */
import type { Split } from '../split.ts';
import { choice } from './choice.ts';
import { documents } from './documents.ts';
import { drawItems, type TextGenerator, type TextItem, type TextOptions, type TextTask } from './item.ts';
import { judge } from './judge.ts';
import { kinds } from './kinds.ts';
import { recital } from './recital.ts';
import { roll } from './roll.ts';
import { sentiment } from './sentiment.ts';
import { story } from './story.ts';
import { topic } from './topic.ts';

export { TEXT_TASKS, type TextItem, type TextOptions, type TextTask } from './item.ts';

const GENERATORS: Record<TextTask, TextGenerator> = {
  sentiment,
  topic,
  choice,
  documents,
  judge,
  story,
  recital,
  roll,
  kinds,
};

/**
 * n items of a task and split. Pure: the same arguments give the same items everywhere, and a longer list begins with
 * the shorter one. Take n a multiple of the task's cluster (documents k, choice 4, judge 2, topic 6, sentiment 2) for exact balance.
 */
export const textItems = (
  task: TextTask,
  split: Split,
  n: number,
  seed = 0,
  options: TextOptions = {},
): TextItem[] => drawItems(task, GENERATORS[task], split, n, seed, options);
