/**
 * MT-Bench (Zheng et al., 2023), the first turn of each question. There is no right answer and no judge here: what is written
 * is kept in the rows and compared item by item in the report; the one number is its length.
 */
import { defineTask } from '../definition.ts';

export const mtBench = defineTask({
  name: 'mt-bench',
  output: 'generate_until',
  source: { file: 'mt-bench/question.jsonl' },
  fields: { question_id: 'integer', category: 'string', turns: 'list' },
  id: '{{ question_id }}',
  prompt: 'Question: {{ turns[0] | trim }}\n\nAnswer:',
  // Only the length of what is written is measured, which needs no answer to compare with.
  target: '(none)',
  until: ['\nQuestion:'],
  maxTokens: 256,
  slice: '{{ category }}',
  metrics: ['length'],
});
