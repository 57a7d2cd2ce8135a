/** exp of −ln p of the texts over their UTF-8 bytes (lm-evaluation-harness). */
import { defineMetric, perplexityKind } from './metric.ts';

export const bytePerplexity = defineMetric({
  name: 'byte_perplexity',
  ...perplexityKind,
  of: {
    text: ({ logLikelihood, bytes }) => (Number.isNaN(logLikelihood) ? undefined : [-logLikelihood, bytes]),
  },
});
