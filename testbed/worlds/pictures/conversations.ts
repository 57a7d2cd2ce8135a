/** What a training picture is asked: existence questions, attributes, counts, places, and two captions. */
import { type Random, random } from '../random.ts';
import { CAPTION_REQUESTS, captionOf, drawLength } from './captions.ts';
import { companionOf, KINDS, type Kind } from './kinds.ts';
import { attribute, colourOf, count, existence, type Question, spatial } from './questions.ts';
import { kindsOf, type Scene, type Thing } from './scene.ts';

/** How often an absent kind that is asked for is the companion of something present, where there is such a kind. */
const ABSENT_COMPANION = 0.25;

function absentKind(rng: Random, present: readonly Kind[]): Kind {
  const absent = KINDS.filter((kind) => !present.includes(kind));
  const companions = absent.filter((kind) => present.includes(companionOf(kind)));
  return companions.length > 0 && rng.chance(ABSENT_COMPANION) ? rng.pick(companions) : rng.pick(absent);
}

/**
 * A primer: one or two clear things, their colours and whether kinds are there. Answering needs no more than finding the
 * thing that is asked for, which is learned far sooner alone than among everything else.
 */
export function primerOf(scene: Scene): { scene: Scene; turns: Pick<Question, 'prompt' | 'target'>[] } {
  const rng = random(`primer/${scene.id}`);
  const [first, ...rest] = scene.things as [Thing, ...Thing[]];
  const second = rest.find(({ kind }) => kind !== first.kind);
  const things = [first, ...(second && rng.chance(0.7) ? [second] : [])].map((thing) => ({
    ...thing,
    opacity: 1,
  }));
  const simple = { ...scene, things };
  const absent = rng.sample(
    KINDS.filter((kind) => !kindsOf(simple).includes(kind)),
    things.length,
  );
  const turns = [
    ...things.flatMap(({ kind, colour }) => [colourOf(kind, colour), existence(kind, true)]),
    ...absent.map((kind) => existence(kind, false)),
  ];
  return { scene: simple, turns: turns.map(({ prompt, target }) => ({ prompt, target })) };
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
