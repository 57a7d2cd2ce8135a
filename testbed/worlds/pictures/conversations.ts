/** What a training picture is asked: existence questions, attributes, counts, places, and two captions. */
import { type Random, random } from '../random.ts';
import { CAPTION_REQUESTS, captionOf, drawLength } from './captions.ts';
import { companionOf, KINDS, type Kind } from './kinds.ts';
import { attribute, count, existence, type Question, spatial } from './questions.ts';
import { kindsOf, type Scene } from './scene.ts';

/** How often an absent kind that is asked for is the companion of something present, where there is such a kind. */
const ABSENT_COMPANION = 0.25;

function absentKind(rng: Random, present: readonly Kind[]): Kind {
  const absent = KINDS.filter((kind) => !present.includes(kind));
  const companions = absent.filter((kind) => present.includes(companionOf(kind)));
  return companions.length > 0 && rng.chance(ABSENT_COMPANION) ? rng.pick(companions) : rng.pick(absent);
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
