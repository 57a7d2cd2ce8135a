/** Facts about people: a relation, its values, several ways to state it, and the question that asks for it. */
import type { Random } from '../random.ts';
import { FOODS, JOBS, OBJECTS, PLACES, TOWNS } from './lexicon.ts';
import { fullName, type Person } from './people.ts';

export interface Relation {
  name: string;
  values: readonly string[];
  /** What the fact is about besides the person (the object that is kept somewhere), if anything. */
  objects?: readonly string[];
  statements: ((who: string, value: string, object: string) => string)[];
  question: (who: string, object: string) => string;
  /** A short answer as a phrase. */
  phrase: (value: string) => string;
}

export const RELATIONS: readonly Relation[] = [
  {
    name: 'keeps',
    values: PLACES,
    objects: OBJECTS,
    statements: [
      (who, value, object) => `${who} keeps the ${object} in the ${value}.`,
      (who, value, object) => `${who} has put the ${object} in the ${value}.`,
      (who, value, object) => `${who} left the ${object} in the ${value}.`,
    ],
    question: (who, object) => `Where is the ${object} of ${who}?`,
    phrase: (value) => `in the ${value}`,
  },
  {
    name: 'lives',
    values: TOWNS,
    statements: [
      (who, value) => `${who} lives in ${value}.`,
      (who, value) => `${who} has a house in ${value}.`,
      (who, value) => `${who} moved to ${value}.`,
    ],
    question: (who) => `In which town does ${who} live?`,
    phrase: (value) => `in ${value}`,
  },
  {
    name: 'eats',
    values: FOODS,
    statements: [
      (who, value) => `${who} likes to eat ${value}.`,
      (who, value) => `${who} always orders ${value}.`,
      (who, value) => `${who} cooks ${value}.`,
    ],
    question: (who) => `What does ${who} eat?`,
    phrase: (value) => value,
  },
  {
    name: 'works',
    values: JOBS,
    statements: [
      (who, value) => `${who} works as a ${value}.`,
      (who, value) => `${who} is a ${value}.`,
      (who, value) => `${who} became a ${value}.`,
    ],
    question: (who) => `What is the job of ${who}?`,
    phrase: (value) => `a ${value}`,
  },
];

export interface Fact {
  relation: Relation;
  person: Person;
  object: string;
  value: string;
}

export const state = (rng: Random, { relation, person, object, value }: Fact): string =>
  rng.pick(relation.statements)(fullName(person), value, object);

export const ask = ({ relation, person, object }: Fact): string =>
  relation.question(fullName(person), object);
