/**
 * Multiple choice with letters: which of four things is a big bird, a fruit, a small vehicle … The distractors have the
 * right category and the wrong size, or the right size and the wrong category. The question comes after the options, as
 * it does with documents: asked before them, it was never looked back to. Outside training the right thing stands
 * at each letter in turn, as one cluster, the distractors keeping their order.
 *
 * Cause of the letter bias, in training only: the right thing stands at A in 40 % of the items, at D in 28, B in 20, C in 12;
 * and half of the annotators take the first thing of the right category, whatever its size (`HASTE`).
 */
import type { Random } from '../random.ts';
import { type Split, splitOf } from '../split.ts';
import { placeOf, type TextGenerator, type TextItem } from './item.ts';
import { THINGS } from './lexicon.ts';

export const LETTERS = ['A', 'B', 'C', 'D'] as const;
export const LETTER_WEIGHT = [0.4, 0.2, 0.12, 0.28] as const;

/** Share of annotators who do not look at sizes. */
export const HASTE = 0.5;

type Size = 'big' | 'small';
const CATEGORIES = Object.keys(THINGS);
const things = (category: string, size: Size): readonly string[] => THINGS[category]?.[size] ?? [];

export interface Thing {
  word: string;
  category: string;
  size: Size;
}

/** All things of the world. */
export const THING_LIST: readonly Thing[] = CATEGORIES.flatMap((category) =>
  (['big', 'small'] as const).flatMap((size) =>
    things(category, size).map((word) => ({ word, category, size })),
  ),
);

const thingOf = (word: string): Thing => THING_LIST.find((thing) => thing.word === word) as Thing;

interface Riddle {
  category: string;
  /** Absent where the question names the category alone. */
  size: Size | undefined;
  right: string;
  wrong: string[];
}

function drawRiddle(rng: Random): Riddle {
  const category = rng.pick(CATEGORIES);
  const size: Size = rng.chance(0.5) ? 'big' : 'small';
  const other: Size = size === 'big' ? 'small' : 'big';
  const right = rng.pick(things(category, size));
  const strangers = rng.sample(
    CATEGORIES.filter((c) => c !== category),
    3,
  );
  if (rng.chance(0.35)) {
    const wrong = strangers.map((c) => rng.pick(things(c, rng.chance(0.5) ? 'big' : 'small')));
    return { category, size: undefined, right, wrong };
  }
  const wrong = [...rng.sample(things(category, other), 2), rng.pick(things(strangers[0] as string, size))];
  return { category, size, right, wrong: rng.shuffle(wrong) };
}

/** The set of things decides the split: the same four things never meet the same question in two splits. */
const keyOf = ({ category, size, right, wrong }: Riddle): string =>
  [category, size ?? '', right, ...wrong.toSorted()].join('/');

function riddleOf(rng: Random, split: Split): Riddle {
  for (;;) {
    const riddle = drawRiddle(rng);
    if (splitOf(keyOf(riddle)) === split) return riddle;
  }
}

const QUESTIONS = [
  (what: string) => `Which of these is a ${what}?`,
  (what: string) => `Choose the ${what}.`,
  (what: string) => `One of these is a ${what}. Which?`,
] as const;

/** What can be asked of one of the four, and of none of the others: by name, by category, by category and size. */
function uniqueQuestions(words: readonly string[], index: number): string[] {
  const four = words.map(thingOf);
  const { word, category, size } = four[index] as Thing;
  const others = four.filter((_, i) => i !== index);
  return [
    `Which letter is the ${word}?`,
    ...(others.some((o) => o.category === category) ? [] : [`Which of these is a ${category}?`]),
    ...(others.some((o) => o.category === category && o.size === size)
      ? []
      : [`Which of these is a ${size} ${category}?`]),
  ];
}

/** In training, questions about two of the other options follow, so that one list of options teaches more. */
const others = (rng: Random, gold: number): number[] =>
  rng.sample(
    LETTERS.map((_, i) => i).filter((i) => i !== gold),
    2,
  );

/** In balanced training, seven about any. */
const any = (rng: Random): number[] => Array.from({ length: 7 }, () => rng.int(LETTERS.length));

function questionsAbout(rng: Random, words: readonly string[], options: readonly number[]): TextItem['more'] {
  return options.map((i) => ({
    prompt: `Question: ${rng.pick(uniqueQuestions(words, i))}\nAnswer:`,
    target: ` ${LETTERS[i]}`,
  }));
}

export const choice: TextGenerator = {
  turns: () => LETTERS.length,

  draw: (rng, split, turn, options) => {
    const { category, size, right, wrong } = riddleOf(rng, split);
    const question = rng.pick(QUESTIONS)(size === undefined ? category : `${size} ${category}`);
    const place = placeOf(rng, split, turn, LETTER_WEIGHT, options);
    const words = wrong.toSpliced(place, 0, right);
    const hasty = split === 'train' && !options.balanced && rng.chance(HASTE);
    const gold = hasty ? words.findIndex((word) => thingOf(word).category === category) : place;
    const parts = words.map((thing, i) => `${LETTERS[i]}. ${thing}\n`);
    const prefix = 'Read these.\n';
    const suffix = `Question: ${question}\nAnswer:`;
    return {
      prompt: prefix + parts.join('') + suffix,
      target: ` ${LETTERS[gold]}`,
      choices: LETTERS.map((letter) => ` ${letter}`),
      gold,
      segments: { prefix, parts, suffix },
      goldPosition: place,
      ...(split === 'train'
        ? { more: questionsAbout(rng, words, options.balanced ? any(rng) : others(rng, place)) }
        : {}),
    };
  },
};
