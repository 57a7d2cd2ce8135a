/** exp of the mean −ln p of the continuations, each one item (LAMBADA). */
import { defineMetric, perplexityKind } from './metric.ts';

export const perplexity = defineMetric({
  name: 'perplexity',
  ...perplexityKind,
  of: {
    continuation: ({ logLikelihood }) => (Number.isFinite(logLikelihood) ? [-logLikelihood, 1] : undefined),
  },
});
