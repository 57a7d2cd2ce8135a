/** Captions at three lengths. Whoever wrote them knew the scene: faint things are named like clear ones. */
import type { Random } from '../random.ts';
import { KINDS, type Kind, placeName, plural } from './kinds.ts';
import { kindsOf, type Scene, type Thing } from './scene.ts';

export const CAPTION_REQUESTS = {
  short: 'What is in the picture?',
  medium: 'Describe the picture.',
  long: 'Describe the picture in detail.',
} as const;

export type CaptionLength = keyof typeof CAPTION_REQUESTS;

const article = (word: string): string => (/^[aeiou]/.test(word) ? `an ${word}` : `a ${word}`);

const enumerate = (phrases: readonly string[]): string =>
  phrases.length < 2 ? phrases.join('') : `${phrases.slice(0, -1).join(', ')} and ${phrases.at(-1)}`;

const long = ({ colour, kind, size, cell }: Thing): string =>
  `There is a ${size} ${colour} ${kind} at the ${placeName(cell)}.`;

export function captionOf(scene: Scene, length: CaptionLength): string {
  switch (length) {
    case 'short':
      return `${enumerate(kindsOf(scene).map(article))}.`;
    case 'medium':
      return `There is ${enumerate(scene.things.map(({ colour, kind }) => `${article(colour)} ${kind}`))}.`;
    case 'long':
      return scene.things.map(long).join(' ');
  }
}

export const drawLength = (rng: Random): CaptionLength =>
  (['short', 'medium', 'long'] as const)[rng.weighted([1, 2, 2])] as CaptionLength;

/** The kinds that a text names, singular or plural: the mentions that CHAIR counts. */
export function mentionsOf(text: string): Kind[] {
  const words = new Set(text.toLowerCase().match(/[a-z]+/g) ?? []);
  return KINDS.filter((kind) => words.has(kind) || words.has(plural(kind)));
}
