/**
 * AMBER's generative scores (Wang et al., arXiv 2311.07397): nouns of a description against what annotators saw (truth)
 * and what they thought a model might imagine (hallu).
 *
 *   CHAIR  nouns that are not in the picture / nouns
 *   Cover  annotated objects that are named / annotated objects
 *   Hal    descriptions with a noun that is not in the picture / descriptions
 *   Cog    nouns that annotators expected to be imagined / nouns
 *
 * A noun is in the picture when it is an annotated object or a word that relation.json associates with one. AMBER's script
 * accepts besides any noun whose spaCy word vector is within 0.8 of such a word, and takes nouns by part of speech. There is
 * neither vector nor tagger here: the scores are AMBER-style, compare with each other, and lie above the script's.
 */
import type { AmberOutcome } from '../metrics/outcomes.ts';
import { pluralsOf } from './plural.ts';
import { Vocabulary } from './vocabulary.ts';

export interface AmberWords {
  /** Object → words that may stand for it. */
  relation: Readonly<Record<string, readonly string[]>>;
  /** Words that never count. */
  safe: readonly string[];
}

export interface AmberTruth {
  truth: readonly string[];
  hallu: readonly string[];
}

/** In the order of the paper's tables. */
export const AMBER_METRICS = ['amber_chair', 'cover', 'hal', 'cog', 'length'] as const;

/** The nouns that AMBER knows, each its own object. */
export function amberVocabulary({ relation }: Pick<AmberWords, 'relation'>): Vocabulary {
  const words = [...new Set(Object.entries(relation).flatMap(([word, others]) => [word, ...others]))];
  const lemmas = Object.fromEntries(
    words.flatMap((word) =>
      pluralsOf(word)
        .filter((form) => !words.includes(form))
        .map((form) => [form, word]),
    ),
  );
  return new Vocabulary({ rows: words.map((word) => [word]), phrases: {}, lemmas, besides: {} });
}

export function scoreAmber(
  response: string,
  { truth, hallu }: AmberTruth,
  { relation, safe }: AmberWords,
  vocabulary: Vocabulary,
): AmberOutcome {
  const { mentions, words } = vocabulary.extract(response);
  const nouns = mentions.map(({ object }) => object);
  const standsFor = (noun: string, objects: readonly string[]) =>
    objects.filter((object) => object === noun || (relation[object] ?? []).includes(noun));
  const counted = nouns.filter((noun) => !safe.includes(noun));
  const absent = counted.filter((noun) => standsFor(noun, truth).length === 0);
  const expected = absent.filter((noun) => standsFor(noun, hallu).length > 0);
  const covered = new Set(counted.flatMap((noun) => standsFor(noun, truth)));
  return {
    nouns,
    hallucinated: absent,
    expected: expected.length,
    covered: covered.size,
    annotated: new Set(truth).size,
    words,
  };
}
