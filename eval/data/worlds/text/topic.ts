/**
 * Topic classification: a passage with two or three words of its topic and one stray word of another. The set of these
 * words decides the split.
 *
 * Cause of the bias, in training only: half of the annotators go by the first word that belongs to a topic (`HASTE`).
 */
import type { Random } from '../random.ts';
import { type Split, splitOf } from '../split.ts';
import type { TextGenerator } from './item.ts';
import { TOPICS } from './lexicon.ts';
import { fullName, peopleOf } from './people.ts';

/** Share of annotators who go by the first word of any topic. */
export const HASTE = 0.5;

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

  draw: (rng, split, turn, { balanced = false }) => {
    const train = split === 'train';
    const topic = train ? rng.int(TOPIC_NAMES.length) : turn;
    const { own, stray } = wordSet(rng, split, TOPIC_NAMES[topic] as string);
    const who = fullName(rng.pick(peopleOf(split)));
    const words = rng.shuffle([...own, stray]);
    const sentences = words.map((word) => rng.pick(SENTENCES)(who, word));
    const hasty = train && !balanced && rng.chance(HASTE);
    const gold = hasty ? TOPIC_NAMES.findIndex((name) => wordsOf(name).includes(words[0] as string)) : topic;
    return {
      prompt: `Text: ${sentences.join(' ')}\nTopic:`,
      target: ` ${TOPIC_NAMES[gold]}`,
      choices: TOPIC_NAMES.map((name) => ` ${name}`),
      gold,
      goldPosition: -1,
    };
  },
};
