/** exp of −ln p of the texts over their words (lm-evaluation-harness). */
import { defineMetric, perplexityKind } from './metric.ts';

export const wordPerplexity = defineMetric({
  name: 'word_perplexity',
  ...perplexityKind,
  of: {
    text: ({ logLikelihood, words }) => (Number.isNaN(logLikelihood) ? undefined : [-logLikelihood, words]),
  },
});
