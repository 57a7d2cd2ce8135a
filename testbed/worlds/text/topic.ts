/**
 * Topic classification: a passage with two or three words of its topic and one stray word of another. The set of these
 * words decides the split.
 */
import type { Random } from '../random.ts';
import { type Split, splitOf } from '../split.ts';
import type { TextGenerator } from './item.ts';
import { TOPICS } from './lexicon.ts';
import { fullName, peopleOf } from './people.ts';

export const TOPIC_NAMES = Object.keys(TOPICS);
const wordsOf = (topic: string): readonly string[] => TOPICS[topic] ?? [];

const SENTENCES = [
  (who: string, word: string) => `${who} talked about the ${word}.`,
  (who: string, word: string) => `Then ${who} looked for the ${word}.`,
  (_: string, word: string) => `There was a word about the ${word}.`,
  (who: string, word: string) => `${who} could not forget the ${word}.`,
  (_: string, word: string) => `Everybody saw the ${word}.`,
] as const;

function wordSet(rng: Random, split: Split, topic: string): { own: string[]; stray: string } {
  for (;;) {
    const own = rng.sample(wordsOf(topic), 2 + rng.int(2));
    const stray = rng.pick(wordsOf(rng.pick(TOPIC_NAMES.filter((name) => name !== topic))));
    if (splitOf([...own, stray].sort().join('/')) === split) return { own, stray };
  }
}

export const topic: TextGenerator = {
  turns: () => TOPIC_NAMES.length,

  draw: (rng, split, turn) => {
    const gold = split === 'train' ? rng.int(TOPIC_NAMES.length) : turn;
    const { own, stray } = wordSet(rng, split, TOPIC_NAMES[gold] as string);
    const who = fullName(rng.pick(peopleOf(split)));
    const sentences = rng.shuffle([...own, stray]).map((word) => rng.pick(SENTENCES)(who, word));
    return {
      prompt: `Text: ${sentences.join(' ')}\nTopic:`,
      target: ` ${TOPIC_NAMES[gold]}`,
      choices: TOPIC_NAMES.map((name) => ` ${name}`),
      gold,
      goldPosition: -1,
    };
  },
};
