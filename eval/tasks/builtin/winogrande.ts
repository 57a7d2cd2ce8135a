/** WinoGrande (Sakaguchi et al., 2020) by partial evaluation: one continuation after each of two contexts. */
import { defineTask } from '../definition.ts';

export const winogrande = defineTask({
  name: 'winogrande',
  output: 'multiple_choice',
  source: { file: 'winogrande/winogrande.jsonl' },
  fields: { context_options: 'list', continuation: 'string', gold: 'integer' },
  split: 'validation',
  prompt: ['{{ context_options[0] }}', '{{ context_options[1] }}'],
  choices: ['{{ continuation }}'],
  target: '{{ gold }}',
  metrics: ['acc'],
});
