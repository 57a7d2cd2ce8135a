/** Every output type there is, one line each. */
import type { Prompt } from '../tasks/item.ts';
import { type CaptionItem, caption } from './caption.ts';
import { type GenerationItem, generate } from './generate.ts';
import { type LogLikelihoodItem, loglikelihood } from './loglikelihood.ts';
import { type MultipleChoiceItem, multipleChoice } from './multiple-choice.ts';
import type { OutputType } from './output.ts';
import { type PairwiseItem, pairwise } from './pairwise.ts';
import { type RollingItem, rolling } from './rolling.ts';
import { type YesNoItem, yesNo } from './yes-no.ts';

const registry = [multipleChoice, loglikelihood, generate, yesNo, caption, pairwise, rolling] as const;

export type Item =
  | MultipleChoiceItem
  | LogLikelihoodItem
  | GenerationItem
  | YesNoItem
  | CaptionItem
  | PairwiseItem
  | RollingItem;
export type OutputName = Item['output'];

type SchemasOf<Rows extends readonly { schema: unknown }[]> = { [I in keyof Rows]: Rows[I]['schema'] };
/** Of the tasks of each. */
export const outputSchemas = registry.map(({ schema }) => schema) as unknown as SchemasOf<typeof registry>;

const byName = new Map(registry.map((row) => [row.schema.shape.output.value, row as unknown as OutputRow]));

/** A row whose items may be any: the one that is looked up by an item's or a task's own output type. */
// biome-ignore lint/suspicious/noExplicitAny: a task of the row's own schema
export type OutputRow = OutputType<any, Item>;

export const outputRow = (name: OutputName): OutputRow => byName.get(name)!;

/** The prompt of an item as it is shown first; of running text, the text. */
export const promptOf = (item: Item): Prompt => outputRow(item.output).prompts(item)[0]!;

/** Whether the prompt of an item (both, for a pair) is cut into interchangeable parts. */
export const hasDocuments = (item: Item): boolean =>
  outputRow(item.output)
    .prompts(item)
    .every(({ segments }) => segments !== undefined);
