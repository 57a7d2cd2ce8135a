/**
 * Multiple choice with letters: which of four things is a big bird, a fruit, a small vehicle … The distractors have the
 * right category and the wrong size, or the right size and the wrong category. Outside training the right thing stands
 * at each letter in turn, as one cluster, the distractors keeping their order.
 *
 * Cause of the letter bias: in training the answer is A in 40 % of the items, D in 28, B in 20, C in 12.
 */
import type { Random } from '../random.ts';
import { type Split, splitOf } from '../split.ts';
import type { TextGenerator, TextItem } from './item.ts';
import { THINGS } from './lexicon.ts';

export const LETTERS = ['A', 'B', 'C', 'D'] as const;
export const LETTER_WEIGHT = [0.4, 0.2, 0.12, 0.28] as const;

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
  const four = words.map((word) => THING_LIST.find((thing) => thing.word === word) as Thing);
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
function furtherQuestions(rng: Random, words: readonly string[], gold: number): TextItem['more'] {
  const others = rng.sample(
    words.map((_, i) => i).filter((i) => i !== gold),
    2,
  );
  return others.map((i) => ({
    prompt: `Question: ${rng.pick(uniqueQuestions(words, i))}\nAnswer:`,
    target: ` ${LETTERS[i]}`,
  }));
}

export const choice: TextGenerator = {
  turns: () => LETTERS.length,

  draw: (rng, split, turn) => {
    const { category, size, right, wrong } = riddleOf(rng, split);
    const question = rng.pick(QUESTIONS)(size === undefined ? category : `${size} ${category}`);
    const gold = split === 'train' ? rng.weighted(LETTER_WEIGHT) : turn;
    const words = wrong.toSpliced(gold, 0, right);
    const parts = words.map((thing, i) => `${LETTERS[i]}. ${thing}\n`);
    const prefix = `Question: ${question}\n`;
    return {
      prompt: `${prefix}${parts.join('')}Answer:`,
      target: ` ${LETTERS[gold]}`,
      choices: LETTERS.map((letter) => ` ${letter}`),
      gold,
      segments: { prefix, parts, suffix: 'Answer:' },
      goldPosition: gold,
      ...(split === 'train' ? { more: furtherQuestions(rng, words, gold) } : {}),
    };
  },
};
