/**
 * What settings cost in time and memory. Apart from the report, since no two runs take the same time; a pure function of
 * the rows all the same, which carry the times that were measured when they were made.
 */
import { bootstrapInterval } from '../statistics/bootstrap.ts';
import type { MetricValue } from './measure.ts';
import type { TaskRows } from './run.ts';

/** What a setting costs in time and memory. */
export interface TimeCost {
  /** Milliseconds inside the model, all items. */
  ms: number;
  /** Time over the baseline's on the same items, with a 95 % bootstrap interval over items. */
  overhead: MetricValue;
  /** Milliseconds for each position run through the model: reading (scores, prompts), and writing (generation). */
  prefillMsPerToken: number | null;
  /** Milliseconds for each position that was written; null where none was. */
  decodeMsPerToken: number | null;
  /** Of the tokens, those that another setting ran alike; their time is in `ms`, though it was not spent again. */
  reusedTokens: number;
  /** The largest resident memory of the process after an item of this setting, in bytes. */
  peakBytes: number;
}

/** One entry for each setting, in their order. */
export function costsOf({ rows, settings, task }: TaskRows, seed: number): TimeCost[] {
  return settings.map((_, j) => {
    const costs = rows.map((row) => row[j]!.cost);
    const sum = (of: (cost: (typeof costs)[number]) => number) =>
      costs.reduce((total, cost) => total + of(cost), 0);
    const pairs = rows.map((row) => [row[j]!.cost.ms, row[0]!.cost.ms] as const);
    const interval = bootstrapInterval(pairs, { seed: `${seed}/${task.task.name}/time`, resamples: 1000 });
    const [ms, decodeMs] = [sum((cost) => cost.ms), sum((cost) => cost.decodeMs)];
    const [tokens, decoded] = [sum((cost) => cost.tokens), sum((cost) => cost.decodedTokens)];
    return {
      ms,
      overhead: rows.length > 1 && j > 0 ? interval : { ...interval, low: null, high: null },
      prefillMsPerToken: perToken(ms - decodeMs, tokens - decoded),
      decodeMsPerToken: perToken(decodeMs, decoded),
      reusedTokens: sum((cost) => cost.reusedTokens),
      peakBytes: Math.max(0, ...costs.map(({ residentBytes }) => residentBytes)),
    };
  });
}

const perToken = (ms: number, tokens: number): number | null => (tokens > 0 ? ms / tokens : null);
