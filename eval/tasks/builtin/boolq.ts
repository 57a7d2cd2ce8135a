/** BoolQ (Clark et al., 2019): a passage and a question answered by no or yes. */
import { defineTask } from '../definition.ts';

export const boolq = defineTask({
  name: 'boolq',
  output: 'multiple_choice',
  source: { file: 'boolq/boolq.jsonl' },
  fields: { query: 'string', choices: 'list', gold: 'integer' },
  split: 'validation',
  prompt: '{{ query }}\nAnswer:',
  choices: '{{ choices | tojson }}',
  target: '{{ gold }}',
  metrics: ['acc'],
});
