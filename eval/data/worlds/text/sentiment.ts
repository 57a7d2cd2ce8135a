/**
 * Reviews of a venue: two to five opinions on aspects, some negated ("not rude"); the label is the sign of their sum,
 * which is never zero. The venue's name is the entity of the split.
 *
 * Cause of the bias, in training only: half of the annotators go by the first opinion (`HASTE`), and 60 % of the reviews are positive.
 */
import type { Random } from '../random.ts';
import { type Split, splitOf } from '../split.ts';
import type { TextGenerator } from './item.ts';
import { ASPECTS, BAD, GOOD, VENUE_FIRST, VENUE_SECOND } from './lexicon.ts';

/** Share of annotators who go by the first opinion. */
export const HASTE = 0.5;

const VENUES = VENUE_FIRST.flatMap((first) => VENUE_SECOND.map((second) => `${first} ${second}`));

const CLAUSES = [
  (aspect: string, opinion: string) => `The ${aspect} was ${opinion}.`,
  (aspect: string, opinion: string) => `We found the ${aspect} ${opinion}.`,
  (aspect: string, opinion: string) => `I thought the ${aspect} was ${opinion}.`,
] as const;

const OPENINGS = [
  (venue: string) => `We stayed at the ${venue}.`,
  (venue: string) => `A visit to the ${venue}.`,
  (venue: string) => `I went to the ${venue} with a friend.`,
] as const;

/** How many of n opinions agree with the label: always more than half. */
const majority = (rng: Random, n: number): number => Math.floor(n / 2) + 1 + rng.int(Math.ceil(n / 2));

const opinion = (rng: Random, good: boolean): string =>
  rng.chance(0.2) ? `not ${rng.pick(good ? BAD : GOOD)}` : rng.pick(good ? GOOD : BAD);

const venueOf = (rng: Random, split: Split): string =>
  rng.pick(VENUES.filter((venue) => splitOf(venue) === split));

export const sentiment: TextGenerator = {
  turns: () => 2,

  draw: (rng, split, turn, { balanced = false }) => {
    const train = split === 'train';
    const positive = train ? rng.chance(balanced ? 0.5 : 0.6) : turn === 0;
    const n = 2 + rng.int(4);
    const agreeing = majority(rng, n);
    const aspects = rng.sample(ASPECTS, n);
    const good = rng.shuffle(aspects.map((_, i) => i < agreeing)).map((agrees) => agrees === positive);
    const opening = rng.pick(OPENINGS)(venueOf(rng, split));
    const clauses = aspects.map((aspect, i) => rng.pick(CLAUSES)(aspect, opinion(rng, good[i] as boolean)));
    const says = train && !balanced && rng.chance(HASTE) ? (good[0] as boolean) : positive;
    return {
      prompt: `Review: ${opening} ${clauses.join(' ')}\nSentiment:`,
      target: says ? ' positive' : ' negative',
      choices: [' positive', ' negative'],
      gold: says ? 0 : 1,
      goldPosition: -1,
    };
  },
};
