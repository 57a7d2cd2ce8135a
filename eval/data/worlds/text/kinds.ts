/**
 * A few things, each named again with its size and category. For training only: multiple choice needs to know what sixty
 * words mean, and here an item teaches four to eight of them instead of one.
 */
import { THING_LIST } from './choice.ts';
import type { TextGenerator } from './item.ts';

export const kinds: TextGenerator = {
  turns: () => 1,
  draw: (rng) => {
    const things = rng.sample(THING_LIST, 4 + rng.int(5));
    const asked = rng.shuffle(things);
    return {
      prompt: `What are these? ${things.map(({ word }) => word).join(', ')}.\nAnswer:`,
      target: ` ${asked.map(({ word, size, category }) => `${word} ${size} ${category}`).join(', ')}.`,
      choices: [],
      gold: -1,
      goldPosition: -1,
    };
  },
};
