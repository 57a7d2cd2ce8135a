/**
 * Retrieval: k interchangeable documents, one of which answers the question. The others state the same relation of
 * other people, some of whom share a given or a family name, or of the same person about another object.
 *
 * Cause of the order bias: in training the answer stands in the first document in half of the prompts and in the last
 * in a quarter (`GOLD_WEIGHT`); in the other splits its place goes round evenly.
 */
import type { Random } from '../random.ts';
import type { Split } from '../split.ts';
import { ask, type Fact, RELATIONS, state } from './facts.ts';
import type { TextGenerator } from './item.ts';
import { confusablePeople } from './people.ts';

const FILLERS = [
  'The house is old.',
  'It was a long day.',
  'Nobody was surprised.',
  'The letter came late.',
  'The road is quiet.',
  'We heard it from a friend.',
] as const;

/** Training weight of each place of the answer among k documents: 6 for the first, 3 for the last, 1 between. */
export const goldWeights = (k: number): number[] =>
  Array.from({ length: k }, (_, i) => (i === 0 ? 6 : i === k - 1 ? 3 : 1));

/** k facts of one relation with k different values; the first is the one that is asked for. */
export function confusableFacts(rng: Random, split: Split, k: number): Fact[] {
  const relation = rng.pick(RELATIONS);
  const people = confusablePeople(rng, split, k);
  const values = rng.sample(relation.values, k);
  const objects = rng.sample(relation.objects ?? [''], k);
  const asked = objects[0] as string;
  return values.map((value, i) => {
    const samePerson = i > 0 && relation.objects !== undefined && rng.chance(0.3);
    return {
      relation,
      value,
      person: (samePerson ? people[0] : people[i]) as Fact['person'],
      object: samePerson ? (objects[i] as string) : asked,
    };
  });
}

const HEADERS = ['Documents:', 'Read these notes.', 'Here is what we know.'] as const;

const K = 5;

const question = (fact: Fact): string => `Question: ${ask(fact)}\nAnswer:`;

export const documents: TextGenerator = {
  turns: ({ documents: k = K }) => k,

  draw: (rng, split, turn, options) => {
    const k = options.documents ?? (split === 'train' ? 2 + rng.int(4) : K);
    const facts = confusableFacts(rng, split, k);
    const asked = facts[0] as Fact;
    const notes = facts.map(
      (fact) => `- ${state(rng, fact)}${rng.chance(0.4) ? ` ${rng.pick(FILLERS)}` : ''}\n`,
    );
    const prefix = `${rng.pick(HEADERS)}\n`;
    const suffix = question(asked);
    const goldPosition = split === 'train' ? rng.weighted(goldWeights(k)) : turn;
    // The asked fact first, as drawn; further questions never come back to it.
    const more = split === 'train' ? rng.sample(facts.slice(1), Math.min(k - 1, 2)) : [];
    const place = <T>([first, ...others]: T[]): T[] => others.toSpliced(goldPosition, 0, first as T);
    const parts = place(notes);
    return {
      prompt: prefix + parts.join('') + suffix,
      target: ` ${asked.value}`,
      choices: place(facts).map((fact) => ` ${fact.value}`),
      gold: goldPosition,
      segments: { prefix, parts, suffix },
      goldPosition,
      ...(more.length === 0
        ? {}
        : { more: more.map((fact) => ({ prompt: question(fact), target: ` ${fact.value}` })) }),
    };
  },
};
