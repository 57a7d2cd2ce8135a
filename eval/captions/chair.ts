/**
 * CHAIR: objects that a caption names and the image does not have (Rohrbach et al., 2018), with what it takes to see that
 * a caption which says less does not win: recall, F1, coverage and length.
 *
 *   CHAIR_S  captions with a hallucinated object / captions
 *   CHAIR_I  hallucinated mentions / mentions                    repetitions count
 *   recall   Σ objects found / Σ objects there                   distinct objects
 *   coverage the mean over captions of objects found / objects there
 *
 * OPERA's text prints the formulas of the first two exchanged; its tables mean what is written here.
 */
import type { Mention, Vocabulary } from './vocabulary.ts';

export interface CaptionScore {
  mentions: Mention[];
  /** Mentions of objects that are not there. */
  hallucinated: Mention[];
  /** Distinct objects that are there and named. */
  found: number;
  /** Distinct objects named. */
  named: number;
  /** Objects there. */
  there: number;
  /** Words of the caption. */
  words: number;
  /** Words and punctuation marks, phrases as one. */
  tokens: number;
}

/** @param truth the objects of the image, by the vocabulary's names */
export function scoreCaption(
  caption: string,
  truth: ReadonlySet<string>,
  vocabulary: Vocabulary,
): CaptionScore {
  const { mentions, tokens, words } = vocabulary.extract(caption);
  const named = new Set(mentions.map(({ object }) => object));
  return {
    mentions,
    hallucinated: mentions.filter(({ object }) => !truth.has(object)),
    found: [...named].filter((object) => truth.has(object)).length,
    named: named.size,
    there: truth.size,
    words,
    tokens: tokens.length,
  };
}

/** In the order of the papers' tables. */
export const CAPTION_METRICS = [
  'chair_s',
  'chair_i',
  'coverage',
  'recall',
  'precision',
  'f1',
  'length',
] as const;
/** The objects of an image: annotated ones, and those that its reference captions name. */
export function truthOf(
  annotated: readonly string[],
  references: readonly string[],
  vocabulary: Vocabulary,
): Set<string> {
  const named = references.flatMap((text) => vocabulary.extract(text).mentions.map(({ object }) => object));
  return new Set([...annotated, ...named]);
}
