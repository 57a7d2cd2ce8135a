/** What became of an item, by the kind of question it was: all that a metric may look at. */
import type { Option } from '../tasks/item.ts';

/** Options ranked by their log-likelihoods. */
export interface ChoicesOutcome {
  readonly options: readonly Option[];
  /** ln p(option | prompt), nats. */
  readonly conditional: readonly number[];
  /** ln p(option) without the prompt, where a metric needs it. */
  readonly unconditional?: readonly number[] | undefined;
  /** Whether greedy decoding would write the option, where the model was asked. */
  readonly greedy?: readonly boolean[] | undefined;
  /** Index of the right option, the first of them where there are several. */
  readonly gold: number;
  /** Indices of all that are right, where there may be several. */
  readonly right?: readonly number[] | undefined;
}

/** One continuation. */
export interface ContinuationOutcome {
  /** Nats; NaN where the model's logits are not finite. */
  readonly logLikelihood: number;
  /** Whether greedy decoding would have written it. */
  readonly greedy: boolean;
}

/** A text of any length. */
export interface TextOutcome {
  /** Nats; NaN where the model's logits are not finite. */
  readonly logLikelihood: number;
  readonly words: number;
  readonly bytes: number;
}

/** A written answer, both sides as they are compared. */
export interface WrittenOutcome {
  /** undefined: nothing in the text was an answer. */
  readonly answer: string | undefined;
  /** Any of them is right. */
  readonly right: readonly string[];
}

/** Yes or no; yes is the positive class. */
export interface YesNoOutcome {
  /** undefined: neither could be read. Wrong, and neither a yes nor a no. */
  readonly said: boolean | undefined;
  /** Whether yes is right. */
  readonly label: boolean;
}

/** Objects that a caption names, against those of its picture. */
export interface CaptionOutcome {
  /** Mentions of objects, repetitions included, and those of them that are not there. */
  readonly mentions: readonly unknown[];
  readonly hallucinated: readonly unknown[];
  /** Distinct objects: there and named, named, there. */
  readonly found: number;
  readonly named: number;
  readonly there: number;
  readonly words: number;
}

/** Nouns of a description against AMBER's annotations. */
export interface AmberOutcome {
  readonly nouns: readonly string[];
  readonly hallucinated: readonly string[];
  /** Of the hallucinated ones, those that annotators expected to be imagined. */
  readonly expected: number;
  /** Annotated objects that are named, and all of them. */
  readonly covered: number;
  readonly annotated: number;
  readonly words: number;
}

/** Two answers judged twice, as given and swapped. */
export interface PairOutcome {
  /** Right verdicts of the two. */
  readonly right: number;
  /** Which was preferred by its place, in either order; undefined where there was no finite number. */
  readonly verdicts: readonly (number | undefined)[];
}

export interface Outcomes {
  choices: ChoicesOutcome;
  continuation: ContinuationOutcome;
  text: TextOutcome;
  written: WrittenOutcome;
  yesNo: YesNoOutcome;
  caption: CaptionOutcome;
  amber: AmberOutcome;
  pair: PairOutcome;
}
export type OutcomeKind = keyof Outcomes;

/** Whether an option is a right one. */
export const isRight = ({ gold, right }: Pick<ChoicesOutcome, 'gold' | 'right'>, option: number): boolean =>
  right === undefined ? option === gold : right.includes(option);

/** Whether every number that the options are ranked by is one. */
export const isRanked = ({ conditional, unconditional = [] }: ChoicesOutcome): boolean =>
  ![...conditional, ...unconditional].some(Number.isNaN);

/**
 * Index of the option that a measure prefers, the first of equal ones (lm-evaluation-harness 0.4.13,
 * `ConfigurableTask.process_results`).
 * @param measure of ℓ = ln p(option | prompt), the option, and u = ln p(option)
 */
export function preferred(
  { options, conditional, unconditional = [] }: ChoicesOutcome,
  measure: (l: number, option: Option, u: number) => number,
): number {
  const values = options.map((option, i) => measure(conditional[i]!, option, unconditional[i] ?? Number.NaN));
  return values.reduce((best, value, i) => (value > values[best]! ? i : best), 0);
}

/** Whether the option that a measure prefers is a right one; options without finite numbers are wrong. */
export const rightBy = (outcome: ChoicesOutcome, measure: Parameters<typeof preferred>[1]): boolean =>
  isRanked(outcome) && isRight(outcome, preferred(outcome, measure));

/** Of the right answers, the one that does best by a measure; an answer that could not be read does nothing. */
export const bestOf = (
  { answer, right }: WrittenOutcome,
  measure: (answer: string, right: string) => number,
): number => (answer === undefined ? 0 : Math.max(...right.map((one) => measure(answer, one))));
