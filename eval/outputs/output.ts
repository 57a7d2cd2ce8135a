/**
 * What an output type is: what its tasks say, how a record becomes an item, what the model is asked and what its answer is worth.
 * One file beside this one each, and one line in index.ts; everything else looks it up there.
 */
import type { z } from 'zod';
import type { DataFolder } from '../data/contained.ts';
import type { MetricName } from '../metrics/index.ts';
import type { Outcomes } from '../metrics/outcomes.ts';
import type { Markup } from '../reports/markup.ts';
import type { LanguageModel } from '../scoring/language-model.ts';
import type { ItemCommon, Option, Prompt } from '../tasks/item.ts';
import type { Compile, Scope } from '../tasks/render.ts';
import type { Score } from './score.ts';

/** Where what items refer to lies. */
export interface ItemFolders {
  /** Of the data. */
  root: DataFolder;
  /** Of the pictures. */
  images: DataFolder;
}

/** What is asked, and what is right. */
export type Answered = Pick<Option, 'context' | 'continuation'>;

/** A row as `show` needs it. */
export type Shown = Pick<
  Score,
  'logLikelihoods' | 'prediction' | 'verdicts' | 'text' | 'extracted' | 'absent' | 'unparsable'
>;

/** An item before and after an intervention. */
export interface Sides {
  before: Shown;
  after: Shown;
  intervention: string;
}

/** How settings are searched for by an output type's items. */
export interface Calibration<I> {
  /** Metrics that a search may go by. */
  metrics: readonly MetricName[];
  /** What is scored, in order. */
  requests(item: I, metric: MetricName | undefined): Answered[];
  /** What became of the item, from the requests' log-likelihoods (NaN where they are not finite). */
  outcome(item: I, logLikelihoods: readonly number[]): Partial<Outcomes>;
  /** ln p of what is right less ln p of the rest, in nats; absent where there is no rest. */
  margin?(item: I, logLikelihoods: readonly number[]): number;
}

type BodyOf<I> = Omit<I, keyof ItemCommon>;

// Methods, so that rows of different items are rows of the registry.
export interface OutputType<Schema extends z.ZodObject = z.ZodObject, I extends ItemCommon = ItemCommon> {
  /** Entries of its tasks. */
  readonly schema: Schema;
  /** Whether its prompts may be about a picture. */
  readonly takesPicture: boolean;
  /** What its entries ask of each other. */
  check?(task: z.output<Schema>, refuse: (path: string, message: string) => void): void;
  /**
   * The task's templates compiled once; the result makes an item of what they read.
   * @throws AttuneError TASK_TEMPLATE; from the result DATA_CHOICES, DATA_TARGET, DATA_SEGMENTS
   */
  make(
    task: z.output<Schema>,
    compile: Compile,
    folders: ItemFolders,
  ): (values: Scope, at: string) => BodyOf<I>;
  /** Every prompt of the item, as it is shown first first; of running text, the text. */
  prompts(item: I): Prompt[];
  /** The item with each of its prompts changed. */
  withPrompts(item: I, change: <P extends Prompt>(prompt: P) => P): I;
  /** The item with its right answer written out; absent where there is not one right text. */
  answered?(item: I): Answered;
  /** @throws AttuneError SCORE_EMPTY, SCORE_TOO_LONG, SCORE_NO_VISION, MODEL_OUTPUT */
  score(model: LanguageModel, item: I, metrics: readonly MetricName[]): Promise<Score>;
  /** Absent where nothing of it can be searched by. */
  readonly calibration?: Calibration<I>;
  /** What the item is called in a list, where its prompt is empty. */
  title?(item: I): string;
  /** The item with the model's answers on both sides, for a reader. */
  show(item: I, sides: Sides): Markup;
}

/** Keeps the types of a row's schema and items. */
export const defineOutput = <Schema extends z.ZodObject, I extends ItemCommon>(
  row: OutputType<Schema, I>,
): OutputType<Schema, I> => row;
