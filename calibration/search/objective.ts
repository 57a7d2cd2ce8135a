/** What a search looks for: more right answers (with labels), or a surer next token (without). */
import type { Measurement } from '../sweep/measure.ts';
import type { SweepItem } from '../sweep/sweep.ts';

/** A question with what may follow it, and how right each answer is. */
export interface CalibrationItem extends SweepItem {
  /** Items of one data set are averaged first, then the data sets. */
  readonly dataset: string;
  /** Items of one cluster never stand on both sides of the split; absent: each item is its own. */
  readonly cluster?: string | undefined;
  /** How right the item is, 0 to 1, by the log-likelihoods of its requests; absent where nothing is known to be right. */
  readonly score?: ((logLikelihoods: readonly number[]) => number) | undefined;
  /** ln p of the right answers less ln p of the others, in nats: how right, where `score` says only whether. */
  readonly margin?: ((logLikelihoods: readonly number[]) => number) | undefined;
}

/** What a search looks for: more right answers, or a surer next token, which needs no answers. */
export type Objective = 'accuracy' | 'entropy';

/** What a setting scored. */
export interface Value {
  /** Mean over data sets of the mean score; null where an item has none. */
  readonly accuracy: number | null;
  /** Mean entropy of the token after the prompts, in nats, over data sets likewise. */
  readonly entropy: number;
}

export function meanValue(items: readonly CalibrationItem[], measured: readonly Measurement[]): Value {
  const scored = items.every(({ score }) => score !== undefined);
  return {
    accuracy: scored ? meanOver(items, (item, i) => item.score!(measured[i]!.logLikelihoods)) : null,
    entropy: meanOver(items, (_, i) => measured[i]!.entropy),
  };
}

/** Differences below it are rounding: of float32 logits in the entropy, of the mean over data sets in the accuracy. */
const ROUNDING: Record<Objective, number> = { accuracy: 1e-9, entropy: 1e-6 };

/** How much better `value` is than `than`; positive is better for either objective. */
export function gain(objective: Objective, value: Value, than: Value): number {
  const difference =
    objective === 'accuracy' ? value.accuracy! - than.accuracy! : than.entropy - value.entropy;
  return Math.abs(difference) < ROUNDING[objective] ? 0 : difference;
}

function meanOver(
  items: readonly CalibrationItem[],
  of: (item: CalibrationItem, i: number) => number,
): number {
  const sums = new Map<string, [sum: number, count: number]>();
  items.forEach((item, i) => {
    const [sum, count] = sums.get(item.dataset) ?? [0, 0];
    sums.set(item.dataset, [sum + of(item, i), count + 1]);
  });
  const means = [...sums.values()].map(([sum, count]) => sum / count);
  return means.reduce((a, b) => a + b, 0) / means.length;
}
