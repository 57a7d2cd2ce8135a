/** One line of the row file: an item under a setting, with everything a report needs and a reader wants to see. */
import { z } from 'zod';
import type { MetricName } from '../metrics/index.ts';
import type { Item } from '../outputs/index.ts';
import type { Task } from '../tasks/definition.ts';
import { contentHash } from './content-hash.ts';
import type { Setting } from './setting.ts';

/** Raised when scoring changes, so that rows of older versions are not taken for new ones. */
const SCORING_VERSION = 4;

const cost = z.object({
  tokens: z.number(),
  unsharedTokens: z.number(),
  calls: z.number(),
  ms: z.number(),
  decodedTokens: z.number(),
  decodeMs: z.number(),
  reusedTokens: z.number().default(0),
  reusedMs: z.number().default(0),
  /** Resident memory of the process after the item; it holds one model at a time. */
  residentBytes: z.number(),
});
const numbers = z.array(z.number().nullable());

export const rowSchema = z.object({
  key: z.string(),
  model: z.string(),
  task: z.string(),
  setting: z.string(),
  specHash: z.string(),
  item: z.string(),
  at: z.string(),
  /** Hash of the item's text: rows with one content are answers to the same question. */
  content: z.string(),
  slice: z.string().optional(),
  position: z.number().optional(),
  cluster: z.string().optional(),
  gold: z.number().optional(),
  prediction: z.number().optional(),
  greedy: z.boolean().optional(),
  text: z.string().optional(),
  extracted: z.string().optional(),
  absent: z.array(z.string()).optional(),
  verdicts: numbers.optional(),
  logLikelihoods: numbers,
  unconditional: numbers.optional(),
  terms: z.record(z.string(), z.tuple([z.number(), z.number()])),
  truncated: z.boolean(),
  unparsable: z.boolean(),
  /** The error that kept the item from being scored, where such items are counted instead of ending the run. */
  skipped: z.string().optional(),
  cost,
});

/** An item under a setting: what the model said, how it was scored, and what it cost. */
export type Row = z.infer<typeof rowSchema>;

/** Without places, in the file and on the disk: what moves is the same. */
export function itemHash(item: Item): string {
  const { at: _, ...content } = item;
  const { path, ...picture } = ('picture' in item && item.picture) || {};
  const { path: words, safePath, ...vocabulary } = ('vocabulary' in item && item.vocabulary) || {};
  return contentHash({ ...content, ...(path && { picture }), ...((words || safePath) && { vocabulary }) });
}

/** What a row is the result of: equal keys, equal results. */
export function rowKey(fingerprint: string, task: Task, item: Item, { specHash }: Setting): string {
  const metrics: readonly MetricName[] = task.metrics;
  const scoring = { version: SCORING_VERSION, task: task.name, metrics };
  return contentHash({ ...scoring, fingerprint, specHash, item: itemHash(item) });
}
