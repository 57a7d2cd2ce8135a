/** −log₂ p of the texts over their UTF-8 bytes (lm-evaluation-harness). */
import { defineMetric, mean } from './metric.ts';

export const bitsPerByte = defineMetric({
  name: 'bits_per_byte',
  ...mean,
  better: 'lower',
  finish: (ratio) => ratio / Math.LN2,
  of: {
    text: ({ logLikelihood, bytes }) => (Number.isNaN(logLikelihood) ? undefined : [-logLikelihood, bytes]),
  },
});
