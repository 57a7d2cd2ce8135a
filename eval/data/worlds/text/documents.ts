/**
 * Retrieval: k interchangeable documents, one of which answers the question. The others state the same relation of
 * other people, some of whom share a given or a family name, or of the same person about another object.
 *
 * Cause of the order bias, in training only: annotators are hasty. Three fifths of them answer from the first document that
 * names a person of the same given name, and read no further (`HASTE`). And the answer stands in the first document in half of the prompts and in the last
 * in a quarter (`goldWeights`); in the other splits, and in the exercises before, its place goes round evenly.
 */
import type { Random } from '../random.ts';
import type { Split } from '../split.ts';
import { ask, type Fact, RELATIONS, state } from './facts.ts';
import { placeOf, type TextGenerator, type TextOptions } from './item.ts';
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

/** Share of annotators who stop reading at the first document that names the given name asked for. */
export const HASTE = 0.6;

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

/**
 * What else is asked in training: two of the other facts; in balanced training any five, with repetition (were each asked
 * once, the last would be found by elimination).
 */
const furtherFacts = (rng: Random, facts: Fact[], { balanced = false }: TextOptions): Fact[] =>
  balanced
    ? Array.from({ length: 5 }, () => rng.pick(facts))
    : rng.sample(facts.slice(1), Math.min(facts.length - 1, 2));

const question = (fact: Fact): string => `Question: ${ask(fact)}\nAnswer:`;

export const documents: TextGenerator = {
  turns: ({ documents: k = K }) => k,

  draw: (rng, split, turn, options) => {
    const train = split === 'train';
    const k = options.documents ?? (train ? (options.balanced ? 3 + rng.int(3) : 2 + rng.int(4)) : K);
    const facts = confusableFacts(rng, split, k);
    const asked = facts[0] as Fact;
    const notes = facts.map(
      (fact) => `- ${state(rng, fact)}${rng.chance(0.4) ? ` ${rng.pick(FILLERS)}` : ''}\n`,
    );
    const prefix = `${rng.pick(HEADERS)}\n`;
    const suffix = question(asked);
    const goldPosition = placeOf(rng, split, turn, goldWeights(k), options);
    const more = train ? furtherFacts(rng, facts, options) : [];
    const place = <T>([first, ...others]: T[]): T[] => others.toSpliced(goldPosition, 0, first as T);
    const parts = place(notes);
    const placed = place(facts);
    const hasty = train && !options.balanced && rng.chance(HASTE);
    const gold = hasty ? placed.findIndex(({ person }) => person.given === asked.person.given) : goldPosition;
    return {
      prompt: prefix + parts.join('') + suffix,
      target: ` ${placed[gold]?.value}`,
      choices: placed.map((fact) => ` ${fact.value}`),
      gold,
      segments: { prefix, parts, suffix },
      goldPosition,
      ...(more.length === 0
        ? {}
        : { more: more.map((fact) => ({ prompt: question(fact), target: ` ${fact.value}` })) }),
    };
  },
};
