/** What scoring one item gives, whatever its output type. */

import type { MetricName } from '../metrics/index.ts';
import type { Terms } from '../metrics/metric.ts';
import type { Cost } from '../scoring/language-model.ts';

export interface Score {
  /** Metric → contribution to its numerator and denominator. An unparsable item is wrong in every accuracy. */
  terms: Partial<Record<MetricName, Terms>>;
  /** Nats; one for each option, or one for the text. null where the model gave no finite number. */
  logLikelihoods: (number | null)[];
  /** The same for the options without their prompts, when a metric needs them. */
  unconditional?: (number | null)[] | undefined;
  /** Multiple choice: index with the largest log-likelihood, the first of equal ones. */
  prediction?: number | undefined;
  /** Continuation: whether greedy decoding would have written it. */
  greedy?: boolean | undefined;
  /** Generation: what was written, and the part of it that was taken for the answer, where that is another. */
  text?: string | undefined;
  extracted?: string | undefined;
  /** Captions: objects that are named and not there. */
  absent?: string[] | undefined;
  /** Pairs: which of the two was preferred by its place, as given and swapped. */
  verdicts?: (number | null)[] | undefined;
  /** Whether anything was cut off the left to fit the model. */
  truncated: boolean;
  /** Whether the model's output could not be scored at all (not finite). */
  unparsable: boolean;
  cost: Cost;
}

/** JSON has no NaN. */
export const finite = (value: number): number | null => (Number.isFinite(value) ? value : null);
