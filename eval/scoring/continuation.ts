/** One right continuation (LAMBADA and its kind): would greedy decoding write it, and how likely is it. */
import type { Metric } from '../tasks/definition.ts';
import type { LogLikelihoodItem } from '../tasks/item.ts';
import { encodePair } from './encode-pair.ts';
import type { LanguageModel } from './language-model.ts';
import { finite, type Score } from './score.ts';

/** @throws AttuneError SCORE_EMPTY, and what the model throws. */
export async function scoreContinuation(
  model: LanguageModel,
  { context, continuation, segments }: LogLikelihoodItem,
  metrics: readonly Metric[],
): Promise<Score> {
  const { scores, cost } = await model.logLikelihoods([encodePair(model, context, continuation, segments)]);
  const { logLikelihood, greedy, truncated } = scores[0]!;
  const unparsable = Number.isNaN(logLikelihood);
  return {
    terms: {
      ...(metrics.includes('acc') && { acc: [!unparsable && greedy ? 1 : 0, 1] }),
      ...(metrics.includes('perplexity') &&
        Number.isFinite(logLikelihood) && { perplexity: [-logLikelihood, 1] }),
    },
    logLikelihoods: [finite(logLikelihood)],
    greedy,
    truncated,
    unparsable,
    cost,
  };
}
