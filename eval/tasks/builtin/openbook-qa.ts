/** OpenBookQA (Mihaylov et al., 2018): the question stem continued by an answer. */
import { defineTask } from '../definition.ts';

export const openbookQa = defineTask({
  name: 'openbook-qa',
  output: 'multiple_choice',
  source: { file: 'openbook-qa/openbook_qa.jsonl' },
  fields: { query: 'string', choices: 'list', gold: 'integer' },
  prompt: '{{ query }}',
  choices: '{{ choices | tojson }}',
  target: '{{ gold }}',
  metrics: ['acc', 'acc_norm'],
});
