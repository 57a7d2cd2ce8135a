/** People: a given and a family name. The pair is the entity, and belongs to one split only. */
import type { Random } from '../random.ts';
import { SPLITS, type Split, splitOf } from '../split.ts';
import { FAMILY, GIVEN } from './lexicon.ts';

export interface Person {
  given: string;
  family: string;
}

export const fullName = ({ given, family }: Person): string => `${given} ${family}`;

const everyone: Person[] = GIVEN.flatMap((given) => FAMILY.map((family) => ({ given, family })));
const bySplit = new Map(
  SPLITS.map((split) => [split, everyone.filter((p) => splitOf(fullName(p)) === split)]),
);

/** All people of a split. */
export const peopleOf = (split: Split): readonly Person[] => bySplit.get(split) ?? [];

/** n different people, some of whom share a name with the first: the near misses of a search by name. */
export function confusablePeople(rng: Random, split: Split, n: number): Person[] {
  const all = peopleOf(split);
  const first = rng.pick(all);
  const people = [first];
  while (people.length < n) {
    const kind = rng.weighted([1, 1, 2]);
    const near = all.filter((p) =>
      kind === 0 ? p.given === first.given : kind === 1 ? p.family === first.family : true,
    );
    const candidate = rng.pick(near);
    if (!people.includes(candidate)) people.push(candidate);
  }
  return people;
}
