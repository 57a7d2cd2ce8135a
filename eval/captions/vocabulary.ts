/**
 * Which objects a text names: words become objects by a vocabulary of synonyms. This is CHAIR's extraction
 * (Rohrbach et al., 2018): lower case, plurals, pairs of words merged from the left, then a look-up.
 */
import { pluralsOf } from './plural.ts';

export interface Mention {
  /** As the text has it, singular: "puppy". */
  word: string;
  /** The first word of its row: "dog". */
  object: string;
}

export interface Extraction {
  mentions: Mention[];
  /** Words and punctuation marks, phrases as one. */
  tokens: string[];
  /** Words of the text. */
  words: number;
}

export interface VocabularyRules {
  /** One row an object: its name, then its synonyms. */
  rows: readonly (readonly string[])[];
  /** Pair of singular words → what it is read as. */
  phrases: Readonly<Record<string, string>>;
  /** Form → dictionary form. */
  lemmas: Readonly<Record<string, string>>;
  /** Word → the word beside which, anywhere in the text, it is none: the seat of a toilet is no chair. */
  besides: Readonly<Record<string, string>>;
}

export class Vocabulary {
  readonly objects: readonly string[];
  readonly #object: ReadonlyMap<string, string>;
  readonly #phrases: ReadonlyMap<string, string>;
  readonly #lemmas: ReadonlyMap<string, string>;
  readonly #besides: readonly (readonly [string, string])[];

  constructor({ rows, phrases, lemmas, besides }: VocabularyRules) {
    this.objects = rows.map(([name]) => name!);
    this.#object = new Map(rows.flatMap((row) => row.map((word) => [word, row[0]!] as const)));
    this.#phrases = new Map(Object.entries(phrases));
    this.#lemmas = new Map(Object.entries(lemmas));
    this.#besides = Object.entries(besides);
  }

  /** An object by the vocabulary's name for it; a name it does not know stays, and no caption can mention it. */
  nameOf(word: string): string {
    return this.#object.get(word.toLowerCase()) ?? word;
  }

  /** Every object a text names, in order, as often as it does. */
  extract(text: string): Extraction {
    const read = (text.toLowerCase().match(/[a-z]+(?:'[a-z]+)?|[^\sa-z]/g) ?? []).map(
      (token) => this.#lemmas.get(token) ?? token,
    );
    const merged: string[] = [];
    for (let i = 0; i < read.length; i++) {
      const phrase = this.#phrases.get(`${read[i]} ${read[i + 1]}`);
      merged.push(phrase ?? read[i]!);
      if (phrase !== undefined) i += 1;
    }
    const none = this.#besides.flatMap(([word, other]) => (merged.includes(other) ? [word] : []));
    const tokens = none.length > 0 ? merged.filter((token) => !none.includes(token)) : merged;
    return {
      mentions: tokens.flatMap((word) => {
        const object = this.#object.get(word);
        return object === undefined ? [] : [{ word, object }];
      }),
      tokens,
      words: read.filter((token) => /^[a-z]/.test(token)).length,
    };
  }
}

/** Phrases whose words would be objects alone and are none together, and young or old animals, after CHAIR's own rules. */
const NO_OBJECTS = ['home plate', 'train track'];
const ANIMALS = 'bird cat dog horse sheep cow elephant bear zebra giraffe animal cub'.split(' ');

/**
 * The rules for an English vocabulary: plurals of every word, and the pairs in its rows.
 * @param rows one row an object: its name, then its synonyms
 */
export function englishVocabulary(rows: readonly (readonly string[])[]): Vocabulary {
  const clean = rows.map((row) => [...new Set(row.map((word) => word.trim().toLowerCase()))]);
  const words = new Set(clean.flat());
  const pairs = [...words].filter((word) => /^\S+ \S+$/.test(word));
  const phrases: Record<string, string> = Object.fromEntries(
    [...pairs, ...NO_OBJECTS].map((pair) => [pair, pair]),
  );
  for (const animal of ANIMALS) {
    phrases[`baby ${animal}`] = animal;
    phrases[`adult ${animal}`] = animal;
  }
  Object.assign(phrases, {
    'passenger jet': 'jet',
    'passenger train': 'train',
    'bow tie': 'tie',
    'toilet seat': 'toilet',
  });
  const singulars = new Set([...words, ...Object.keys(phrases).flatMap((phrase) => phrase.split(' '))]);
  const lemmas: Record<string, string> = {};
  for (const word of singulars) {
    // A form that is a word of the vocabulary itself ("skis", "people") is that word.
    for (const plural of pluralsOf(word)) if (!words.has(plural)) lemmas[plural] ??= word;
  }
  return new Vocabulary({ rows: clean, phrases, lemmas, besides: { seat: 'toilet' } });
}

/** The rows of a synonym file: one object a line, names separated by commas, the object's name first. */
export const vocabularyRows = (text: string): string[][] =>
  text
    .split('\n')
    .map((line) =>
      line
        .split(',')
        .map((word) => word.trim())
        .filter((word) => word !== ''),
    )
    .filter((row) => row.length > 0);
