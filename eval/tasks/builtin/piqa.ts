/** PIQA (Bisk et al., 2020), validation: two ways to reach a goal; the labels are in a file of their own. */
import { defineTask } from '../definition.ts';

export const piqa = defineTask({
  name: 'piqa',
  output: 'multiple_choice',
  source: { file: 'piqa/valid.jsonl', aligned: { label: 'piqa/valid-labels.lst' } },
  fields: { goal: 'string', sol1: 'string', sol2: 'string', label: 'integer' },
  split: 'validation',
  prompt: 'Question: {{ goal }}\nAnswer:',
  choices: ['{{ sol1 }}', '{{ sol2 }}'],
  target: '{{ label }}',
  metrics: ['acc', 'acc_norm'],
});
