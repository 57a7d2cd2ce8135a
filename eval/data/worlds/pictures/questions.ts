/** Questions about a scene, with the right answer and the answers to choose from. */
import { type Random, random } from '../random.ts';
import { COLOUR_NAMES, type Colour, KINDS, type Kind, NUMBERS, placeName, plural } from './kinds.ts';
import { kindsOf, type Scene, sceneOf, type Thing } from './scene.ts';

export interface Question {
  prompt: string;
  target: string;
  choices: string[];
}

const YES_NO = [' yes', ' no'];

export const existence = (kind: Kind, there: boolean): Question => ({
  prompt: `Is there a ${kind} in the picture?`,
  target: there ? ' yes' : ' no',
  choices: YES_NO,
});

/** Things whose kind occurs once, so that "the cup" means one of them. */
const singles = (scene: Scene): Thing[] =>
  scene.things.filter(({ kind }) => scene.things.filter((other) => other.kind === kind).length === 1);

export const colourOf = (kind: Kind, colour: Colour): Question => ({
  prompt: `What colour is the ${kind}?`,
  target: ` ${colour}`,
  choices: COLOUR_NAMES.map((name) => ` ${name}`),
});

/** Colour or size of a thing that is there once; undefined where there is none. */
export function attribute(rng: Random, scene: Scene): Question | undefined {
  const candidates = singles(scene);
  if (candidates.length === 0) return undefined;
  const { kind, colour, size } = rng.pick(candidates);
  return rng.chance(0.7)
    ? colourOf(kind, colour)
    : { prompt: `Is the ${kind} big or small?`, target: ` ${size}`, choices: [' big', ' small'] };
}

/** The number is drawn first, among those that some kind has in this scene, so that "one" is not nearly always right. */
export function count(rng: Random, scene: Scene): Question {
  const numberOf = (kind: Kind): number => scene.things.filter((thing) => thing.kind === kind).length;
  const n = rng.pick([...new Set(KINDS.map(numberOf))].sort());
  const kind = rng.pick(KINDS.filter((one) => numberOf(one) === n));
  return {
    prompt: `How many ${plural(kind)} are there?`,
    target: ` ${NUMBERS[n]}`,
    choices: NUMBERS.map((word) => ` ${word}`),
  };
}

/** Where a thing is that is there once. In training only: places share their first words. */
export function place(rng: Random, scene: Scene): Question | undefined {
  const [thing] = rng.sample(singles(scene), 1);
  return (
    thing && {
      prompt: `Where is the ${thing.kind}?`,
      target: ` ${placeName(thing.cell)}`,
      choices: scene.things.map(({ cell }) => ` ${placeName(cell)}`),
    }
  );
}

/** Left or right, above or below, of two things that are there once and differ in that direction. */
export function spatial(rng: Random, scene: Scene): Question | undefined {
  const [a, b] = rng.sample(singles(scene), 2);
  if (!a || !b) return undefined;
  const across = rng.chance(0.5);
  const axis = ({ cell }: Thing): number => (across ? cell % 3 : Math.floor(cell / 3));
  if (axis(a) === axis(b)) return undefined;
  const before = rng.chance(0.5);
  const word = across ? (before ? 'left of' : 'right of') : before ? 'above' : 'below';
  return {
    prompt: `Is the ${a.kind} ${word} the ${b.kind}?`,
    target: axis(a) < axis(b) === before ? ' yes' : ' no',
    choices: YES_NO,
  };
}

export const NEGATIVES = ['random', 'popular', 'adversarial'] as const;
export type Negatives = (typeof NEGATIVES)[number];

/** How often kinds occur, and occur together, in 4,000 training scenes: what POPE's rankings are made from. */
export interface Statistics {
  frequency: Record<Kind, number>;
  together: Record<Kind, Record<Kind, number>>;
}

let counted: Statistics | undefined;

export function trainingStatistics(): Statistics {
  if (counted) return counted;
  const zeros = (): Record<Kind, number> =>
    Object.fromEntries(KINDS.map((kind) => [kind, 0])) as Record<Kind, number>;
  const frequency = zeros();
  const together = Object.fromEntries(KINDS.map((kind) => [kind, zeros()])) as Statistics['together'];
  for (let i = 0; i < 4000; i++) {
    const kinds = kindsOf(sceneOf('train', 1, i));
    for (const kind of kinds) {
      frequency[kind]++;
      for (const other of kinds) if (other !== kind) together[kind][other]++;
    }
  }
  counted = { frequency, together };
  return counted;
}

/** Absent kinds to ask for, the first n of the ranking: shuffled, by frequency, or by co-occurrence with what is there. */
export function absentKinds(scene: Scene, negatives: Negatives, n: number): Kind[] {
  const present = kindsOf(scene);
  const absent = random(`absent/${scene.id}`).shuffle(KINDS.filter((kind) => !present.includes(kind)));
  if (negatives === 'random') return absent.slice(0, n);
  const { frequency, together } = trainingStatistics();
  const score = (kind: Kind): number =>
    negatives === 'popular'
      ? frequency[kind]
      : Math.max(...present.map((p) => together[p][kind] / frequency[p]));
  return absent.toSorted((a, b) => score(b) - score(a)).slice(0, n);
}
