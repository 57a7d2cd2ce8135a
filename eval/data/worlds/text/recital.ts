/**
 * A handful of words said twice. Of no interest in itself: it teaches copying (induction heads) early, without which
 * questions about documents take far longer to learn.
 */
import type { TextGenerator } from './item.ts';
import { ASPECTS, COLOURS, FAMILY, FOODS, GIVEN, JOBS, OBJECTS, PLACES, THINGS, TOWNS } from './lexicon.ts';

const WORDS = [
  ...new Set([
    ...[GIVEN, FAMILY, OBJECTS, PLACES, TOWNS, FOODS, JOBS, COLOURS, ASPECTS].flat(),
    ...Object.values(THINGS).flatMap(({ big, small }) => [...big, ...small]),
  ]),
];

export const recital: TextGenerator = {
  turns: () => 1,
  draw: (rng) => {
    const words = rng.sample(WORDS, 5 + rng.int(14)).join(' ');
    return {
      prompt: `Say again: ${words}.\nAnswer:`,
      target: ` ${words}.`,
      choices: [],
      gold: -1,
      goldPosition: -1,
    };
  },
};
