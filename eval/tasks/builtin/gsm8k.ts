/**
 * GSM8K (Cobbe et al., 2021): word problems whose answer is a number, written without examples before. The last number
 * of what is written counts, as lm-evaluation-harness's flexible-extract has it.
 */
import { defineTask } from '../definition.ts';

export const gsm8k = defineTask({
  name: 'gsm8k',
  output: 'generate_until',
  source: { file: 'gsm8k/test.jsonl' },
  fields: { question: 'string', answer: 'string' },
  prompt: 'Question: {{ question }}\nAnswer:',
  target: "{{ answer.split('#### ') | last }}",
  until: ['Question:'],
  maxTokens: 256,
  answer: { extract: '(-?[$0-9.,]{2,})|(-?[0-9]+)', take: 'last', remove: [',', '\\$', '\\.$'] },
  metrics: ['exact_match'],
});
