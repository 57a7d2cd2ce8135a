/** COPA (Roemmele et al., 2011): the more plausible cause or effect. */
import { defineTask } from '../definition.ts';

export const copa = defineTask({
  name: 'copa',
  output: 'multiple_choice',
  source: { file: 'copa/copa.jsonl' },
  fields: { query: 'string', choices: 'list', gold: 'integer' },
  split: 'validation',
  prompt: '{{ query }}',
  choices: '{{ choices | tojson }}',
  target: '{{ gold }}',
  metrics: ['acc'],
});
