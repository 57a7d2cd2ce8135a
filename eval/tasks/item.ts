/**
 * One thing to score, as plain text: what a record of any data set has become once its task's templates are rendered. What
 * items of all output types have is here; what one of them adds is in its file in ../outputs.
 */
import type { ItemPicture } from '../data/pictures.ts';

export interface ItemCommon {
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
  /** Solved examples that its prompts begin with, as text. */
  shots?: readonly Example[];
}

/** Another item with its right answer. */
export interface Example {
  context: string;
  /** With its delimiter. */
  continuation: string;
}

/** A prompt cut at the borders of its interchangeable parts: `prefix + parts.join('') + suffix` is the whole. */
export interface Segments {
  prefix: string;
  parts: string[];
  suffix: string;
}

/** What stands before what is scored or written. */
export interface Prompt {
  context: string;
  /** The same, cut into interchangeable parts, where the task cuts it. */
  segments?: Segments | undefined;
}

/** One way of answering. */
export interface Option {
  context: string;
  /** With its delimiter. */
  continuation: string;
  /** Without it: the text whose length `acc_norm` divides by. */
  text: string;
}
