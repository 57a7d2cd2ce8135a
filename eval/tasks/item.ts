/** One thing to score, as plain text: what a record of any data set has become once its task's templates are rendered. */

import type { ItemPicture } from '../data/pictures.ts';
import type { VocabularySource } from '../metrics/vocabulary-of.ts';
import type { YesNoParser } from '../metrics/yes-no.ts';
import type { AnswerRule } from './definition.ts';

interface ItemCommon {
  /** Unique in its task. */
  id: string;
  /** file:line. */
  at: string;
  /** Id of the record, where several items are made of one. */
  record?: string;
  /** Items of one cluster are resampled together; absent: each item is its own. */
  cluster?: string;
  slice?: string;
  /** At which place the answer lies: of documents, of records, of options. */
  position?: number;
  /** What the prompt is about, besides its words. */
  picture?: ItemPicture;
}

/** A prompt cut at the borders of its interchangeable parts: `prefix + parts.join('') + suffix` is the whole. */
export interface Segments {
  prefix: string;
  parts: string[];
  suffix: string;
}

/** One way of answering. */
export interface Option {
  context: string;
  /** With its delimiter. */
  continuation: string;
  /** Without it: the text whose length `acc_norm` divides by. */
  text: string;
}

export interface MultipleChoiceItem extends ItemCommon {
  output: 'multiple_choice';
  options: Option[];
  /** Of the prompt, where the options have one prompt and the task cuts it. */
  segments?: Segments;
  /** Index of the right option, the first of them where there are several. */
  gold: number;
  /** Indices of all that are right, where there may be several. */
  right?: readonly number[];
  /** Index of the option that is a yes, where precision and recall are asked for. */
  positive?: number;
}

export interface LogLikelihoodItem extends ItemCommon {
  output: 'loglikelihood';
  context: string;
  segments?: Segments;
  continuation: string;
}

export interface RollingItem extends ItemCommon {
  output: 'loglikelihood_rolling';
  text: string;
}

export interface GenerationItem extends ItemCommon {
  output: 'generate_until';
  context: string;
  segments?: Segments;
  until: readonly string[];
  maxTokens: number;
  /** Any of them is right. */
  answers: readonly string[];
  rule: AnswerRule;
}

/** A question answered in writing by yes or no. */
export interface YesNoItem extends ItemCommon {
  output: 'yes_no';
  context: string;
  until: readonly string[];
  maxTokens: number;
  parser: YesNoParser;
  /** Whether yes is right. */
  label: boolean;
}

/** A description, scored by the objects it names. */
export interface CaptionItem extends ItemCommon {
  output: 'caption';
  context: string;
  until: readonly string[];
  maxTokens: number;
  /** What is there. */
  objects: readonly string[];
  /** What annotators expected to be imagined (AMBER). */
  imagined: readonly string[];
  vocabulary: VocabularySource;
}

/** Two answers judged twice, shown in either order. */
export interface PairwiseItem extends ItemCommon {
  output: 'pairwise';
  /** As given, and swapped; `gold` is the better one by its place in that order. */
  orders: { options: Option[]; segments?: Segments; gold: number }[];
}

export type Item =
  | MultipleChoiceItem
  | LogLikelihoodItem
  | RollingItem
  | GenerationItem
  | YesNoItem
  | CaptionItem
  | PairwiseItem;

/** Whether an option is a right one. */
export const isRight = (
  { gold, right }: { gold: number; right?: readonly number[] },
  option: number,
): boolean => (right === undefined ? option === gold : right.includes(option));

/** Whether the prompt of an item (both, for a pair) is cut into interchangeable parts. */
export function hasDocuments(item: Item): boolean {
  if (item.output === 'pairwise') return item.orders.every(({ segments }) => segments !== undefined);
  return 'segments' in item && item.segments !== undefined;
}
