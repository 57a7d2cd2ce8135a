/** What a training picture is asked: existence questions, attributes, counts, places, and two captions. */
import { type Random, random } from '../random.ts';
import { CAPTION_REQUESTS, captionOf, drawLength } from './captions.ts';
import { COLOUR_NAMES, companionOf, KINDS, type Kind } from './kinds.ts';
import { attribute, colourOf, count, existence, type Question, spatial } from './questions.ts';
import { kindsOf, type Scene, sceneOf } from './scene.ts';

/** How often an absent kind that is asked for is the companion of something present, where there is such a kind. */
const ABSENT_COMPANION = 0.25;

function absentKind(rng: Random, present: readonly Kind[]): Kind {
  const absent = KINDS.filter((kind) => !present.includes(kind));
  const companions = absent.filter((kind) => present.includes(companionOf(kind)));
  return companions.length > 0 && rng.chance(ABSENT_COMPANION) ? rng.pick(companions) : rng.pick(absent);
}

/** All kinds in turn, from a random one on, each with its colour or "no". */
function checklist(rng: Random, scene: Scene): Pick<Question, 'prompt' | 'target'> {
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
export function primerOf(
  seed: number,
  i: number,
): { scene: Scene; turns: Pick<Question, 'prompt' | 'target'>[] } {
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
  const { kind, colour } = rng.pick(things);
  const absent = rng.pick(KINDS.filter((other) => !kinds.includes(other)));
  const questions = [colourOf(kind, colour), existence(rng.pick(kinds), true), existence(absent, false)];
  const turns = [checklist(rng, scene), checklist(rng, scene), ...questions];
  return { scene, turns: turns.map(({ prompt, target }) => ({ prompt, target })) };
}

/** Prompts and targets for one scene; each is a conversation of its own about the same picture. */
export function conversationsOf(scene: Scene): Pick<Question, 'prompt' | 'target'>[] {
  const rng = random(`conversations/${scene.id}`);
  const present = kindsOf(scene);
  const caption = (): Pick<Question, 'prompt' | 'target'> => {
    const length = drawLength(rng);
    return { prompt: CAPTION_REQUESTS[length], target: ` ${captionOf(scene, length)}` };
  };
  const questions: (Pick<Question, 'prompt' | 'target'> | undefined)[] = [
    existence(rng.pick(present), true),
    existence(rng.pick(present), true),
    existence(absentKind(rng, present), false),
    existence(absentKind(rng, present), false),
    attribute(rng, scene),
    count(rng, scene),
    spatial(rng, scene),
    caption(),
  ];
  return questions.flatMap((question) =>
    question ? [{ prompt: question.prompt, target: question.target }] : [],
  );
}
