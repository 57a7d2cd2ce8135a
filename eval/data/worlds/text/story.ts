/**
 * Short stories for perplexity: a person wants a thing, looks for it in a few places, meets a friend, finds it. Names,
 * the thing and the place come back, so that context helps.
 */
import type { Random } from '../random.ts';
import type { TextGenerator } from './item.ts';
import { COLOURS, FOODS, OBJECTS, PLACES, TOPICS, TOWNS } from './lexicon.ts';
import { fullName, peopleOf } from './people.ts';

const WEATHER = TOPICS.weather ?? [];

const openings = [
  (who: string, town: string) => `One morning ${who} woke up early in ${town}.`,
  (who: string, town: string) => `${who} lived in a small house in ${town}.`,
  (who: string, town: string) => `Long ago there was a child in ${town} called ${who}.`,
];
const wishes = [
  (name: string, thing: string) => `${name} wanted to find the ${thing}.`,
  (name: string, thing: string) => `${name} had lost the ${thing}.`,
  (name: string, thing: string) => `Somebody had taken the ${thing}, and ${name} was sad.`,
];
const searches = [
  (name: string, place: string) => `${name} looked in the ${place}, but it was not there.`,
  (name: string, place: string) => `First ${name} went to the ${place} and found nothing.`,
  (_: string, place: string) => `The ${place} was empty.`,
];
const meetings = [
  (friend: string, name: string) => `Then ${friend} came by and asked ${name} what was wrong.`,
  (friend: string, name: string) => `On the way ${name} met ${friend}, who wanted to help.`,
];
const pauses = [
  (a: string, food: string) => `Because of the ${a} they stopped and ate some ${food}.`,
  (a: string, food: string) => `They waited for the ${a} to end and shared the ${food}.`,
];
const findings = [
  (name: string, thing: string, place: string) => `At last ${name} found the ${thing} in the ${place}.`,
  (name: string, thing: string, place: string) => `In the ${place} stood the ${thing}, and ${name} laughed.`,
];
const endings = [
  (name: string, friend: string) => `${name} thanked ${friend} and went home.`,
  (name: string, friend: string) => `${name} and ${friend} stayed friends for ever.`,
];

function tell(rng: Random, people: readonly { given: string; family: string }[]): string {
  const [hero, helper] = rng.sample(people, 2) as [(typeof people)[number], (typeof people)[number]];
  const [one, two, found] = rng.sample(PLACES, 3) as [string, string, string];
  const thing = `${rng.pick(COLOURS)} ${rng.pick(OBJECTS)}`;
  const name = hero.given;
  const friend = helper.given;
  return [
    rng.pick(openings)(fullName(hero), rng.pick(TOWNS)),
    rng.pick(wishes)(name, thing),
    rng.pick(searches)(name, one),
    ...(rng.chance(0.6) ? [rng.pick(searches)(name, two)] : []),
    rng.pick(meetings)(fullName(helper), name),
    ...(rng.chance(0.6) ? [rng.pick(pauses)(rng.pick(WEATHER), rng.pick(FOODS))] : []),
    rng.pick(findings)(name, thing, found),
    rng.pick(endings)(name, friend),
  ].join(' ');
}

export const story: TextGenerator = {
  turns: () => 1,
  draw: (rng, split) => ({
    prompt: '',
    target: tell(rng, peopleOf(split)),
    choices: [],
    gold: -1,
    goldPosition: -1,
  }),
};
