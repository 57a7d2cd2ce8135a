/**
 * Judging which of two answers is better, asked twice: as given and swapped. A judge without position bias says the same
 * of both orders.
 *
 *   pair_acc         right verdicts of the two
 *   pair_acc_strict  both right (by chance: 1/4)
 *   consistency      the same answer preferred in both orders
 *   first_rate       verdicts for the answer shown first (without bias: 1/2)
 */

import type { Terms } from '../metrics/metric.ts';
import type { Metric } from '../tasks/definition.ts';
import type { PairwiseItem } from '../tasks/item.ts';
import type { LanguageModel } from './language-model.ts';
import { addCosts } from './language-model.ts';
import { scoreMultipleChoice } from './multiple-choice.ts';
import type { Score } from './score.ts';

/** @throws AttuneError SCORE_EMPTY, and what the model throws. */
export async function scorePairwise(
  model: LanguageModel,
  { orders }: PairwiseItem,
  metrics: readonly Metric[],
): Promise<Score> {
  const [given, swapped] = [
    await scoreMultipleChoice(model, orders[0]!, ['acc']),
    await scoreMultipleChoice(model, orders[1]!, ['acc']),
  ];
  const right = [given, swapped].reduce((sum, { terms }) => sum + terms.acc![0], 0);
  const unparsable = given.unparsable || swapped.unparsable;
  const verdicts = [given, swapped].map(({ prediction }) => prediction);
  const firsts = verdicts.filter((verdict) => verdict === 0).length;
  const terms: Record<string, Terms> = {
    pair_acc: [right, 2],
    pair_acc_strict: [right === 2 ? 1 : 0, 1],
    // The answer at one place in one order is at the other place in the other.
    consistency: [!unparsable && verdicts[0] !== verdicts[1] ? 1 : 0, 1],
    ...(!unparsable && { first_rate: [firsts, 2] }),
  };
  return {
    terms: Object.fromEntries(metrics.flatMap((metric) => (terms[metric] ? [[metric, terms[metric]]] : []))),
    logLikelihoods: [...given.logLikelihoods, ...swapped.logLikelihoods],
    verdicts: verdicts.map((verdict) => verdict ?? null),
    truncated: given.truncated || swapped.truncated,
    unparsable,
    cost: addCosts(given.cost, swapped.cost),
  };
}
