/**
 * Sets where a text has one right continuation: LAMBADA (Paperno et al., 2016), its last word, and BIG-bench's
 * operators, a number.
 */
import { defineTask } from '../definition.ts';

const fields = { context: 'string', continuation: 'string' } as const;
const templates = { prompt: '{{ context }}', target: '{{ continuation }}' };

export const lambada = defineTask({
  name: 'lambada',
  output: 'loglikelihood',
  source: { file: 'lambada-openai/lambada_openai.jsonl' },
  fields,
  ...templates,
  metrics: ['acc', 'perplexity'],
});

export const bigbenchOperators = defineTask({
  name: 'bigbench-operators',
  output: 'loglikelihood',
  source: { file: 'bigbench-operators/bigbench_operators.jsonl' },
  fields,
  ...templates,
  metrics: ['acc'],
});
