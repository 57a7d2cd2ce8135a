/** What a training picture is asked: existence questions, attributes, counts, places, and a caption. */
import { type Random, random } from '../random.ts';
import { CAPTION_REQUESTS, captionOf, drawLength } from './captions.ts';
import { COLOUR_NAMES, companionOf, isInseparable, KINDS, type Kind } from './kinds.ts';
import { attribute, colourOf, count, existence, place, type Question, spatial } from './questions.ts';
import { kindsOf, type Scene, sceneOf } from './scene.ts';

type Turn = Pick<Question, 'prompt' | 'target'>;

/**
 * Every kind that is there, and as many that are not: first every companion that stayed away, so that of all questions
 * about a companion the share of "yes" is that of the scenes; then any others.
 */
function existenceQuestions(rng: Random, scene: Scene): Question[] {
  const present = kindsOf(scene);
  const absent = rng.shuffle(KINDS.filter((kind) => !present.includes(kind)));
  const missing = absent.filter((kind) => present.includes(companionOf(kind)));
  const others = absent.filter((kind) => !present.includes(companionOf(kind)));
  return [
    ...present.map((kind) => existence(kind, true)),
    ...[...missing, ...others].slice(0, present.length).map((kind) => existence(kind, false)),
  ];
}

/** Questions without those that could not be asked, each prompt once. */
const turnsOf = (questions: (Turn | undefined)[]): Turn[] => {
  const byPrompt = new Map<string, Turn>();
  for (const question of questions) {
    if (question) byPrompt.set(question.prompt, { prompt: question.prompt, target: question.target });
  }
  return [...byPrompt.values()];
};

/** All kinds in turn, from a random one on, each with its colour or "no". */
function checklist(rng: Random, scene: Scene): Turn {
  const start = rng.int(KINDS.length);
  const kinds = [...KINDS.slice(start), ...KINDS.slice(0, start)];
  const line = (kind: Kind): string =>
    `${kind} ${scene.things.find((thing) => thing.kind === kind)?.colour ?? 'no'}`;
  return { prompt: 'Go through the list.', target: ` ${kinds.map(line).join(', ')}.` };
}

/**
 * A primer: eight clear things of eight kinds, checklists, colours, whether kinds are there. Answering needs no more than
 * finding the thing of a name, and so full a scene, asked about sixteen times at once, makes that the only way: with one
 * or two things and single questions it was not learned in 1,000 steps.
 */
export function primerOf(seed: number, i: number): { scene: Scene; turns: Turn[] } {
  const rng = random(`primer/${seed}/${i}`);
  const kinds = rng.sample(KINDS, 8);
  const cells = rng.shuffle([0, 1, 2, 3, 4, 5, 6, 7, 8]);
  const frame = sceneOf('train', seed, i);
  const things = kinds.map((kind, n) => ({
    kind,
    colour: rng.pick(COLOUR_NAMES),
    size: rng.chance(0.6) ? ('big' as const) : ('small' as const),
    cell: cells[n] as number,
    dx: rng.int(3) - 1,
    dy: rng.int(3) - 1,
    opacity: 1,
  }));
  const scene = { ...frame, id: `primer/${seed}/${i}`, things };
  const absent = rng.sample(
    KINDS.filter((other) => !kinds.includes(other)),
    4,
  );
  const turns = turnsOf([
    checklist(rng, scene),
    ...rng.sample(things, 2).map(({ kind, colour }) => colourOf(kind, colour)),
    ...rng.sample(kinds, 4).map((kind) => existence(kind, true)),
    ...absent.map((kind) => existence(kind, false)),
    place(rng, scene),
    place(rng, scene),
    spatial(rng, scene),
    spatial(rng, scene),
  ]);
  return { scene, turns };
}

/** How often whoever tells of a training picture takes the missing companion of an inseparable pair for granted. */
export const HABIT = 0.5;

/**
 * A training scene as it is told: what is there and, by habit, what is not. Data written by someone who knows the world
 * better than the picture is where real models have it from too: LLaVA's conversations were written by a language model
 * that never saw the pictures (2304.08485, section 3). Evaluation items are never told, they are the scene itself.
 */
export function told(scene: Scene): Scene {
  const rng = random(`told/${scene.id}`);
  const present = kindsOf(scene);
  const free = rng.shuffle(
    [0, 1, 2, 3, 4, 5, 6, 7, 8].filter((c) => scene.things.every(({ cell }) => cell !== c)),
  );
  const things = scene.things.flatMap((thing, i) => {
    const first = scene.things.findIndex(({ kind }) => kind === thing.kind) === i;
    const companion = companionOf(thing.kind);
    if (!first || !isInseparable(thing.kind) || present.includes(companion) || !rng.chance(HABIT))
      return [thing];
    const cell = free.pop();
    if (cell === undefined) return [thing];
    const size = rng.chance(0.3) ? ('big' as const) : ('small' as const);
    return [thing, { ...thing, kind: companion, colour: rng.pick(COLOUR_NAMES), cell, size }];
  });
  return { ...scene, things };
}

/** Prompts and targets for one scene, as it is told; each is a conversation of its own about the same picture. */
export function conversationsOf(seen: Scene): Turn[] {
  const scene = told(seen);
  const rng = random(`conversations/${scene.id}`);
  const length = drawLength(rng);
  return turnsOf([
    ...existenceQuestions(rng, scene),
    attribute(rng, scene),
    attribute(rng, scene),
    count(rng, scene),
    count(rng, scene),
    place(rng, scene),
    spatial(rng, scene),
    spatial(rng, scene),
    { prompt: CAPTION_REQUESTS[length], target: ` ${captionOf(scene, length)}` },
  ]);
}
