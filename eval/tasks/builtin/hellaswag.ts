/** HellaSwag (Zellers et al., 2019), validation, in the six-lines-an-item text form: context, gold index, four endings. */
import { defineTask } from '../definition.ts';

export const hellaswag = defineTask({
  name: 'hellaswag',
  output: 'multiple_choice',
  source: {
    file: 'hellaswag/hellaswag_val_full.txt',
    columns: ['context', 'gold', 'ending0', 'ending1', 'ending2', 'ending3'],
  },
  fields: {
    context: 'string',
    gold: 'integer',
    ending0: 'string',
    ending1: 'string',
    ending2: 'string',
    ending3: 'string',
  },
  split: 'validation',
  prompt: '{{ context }}',
  choices: ['{{ ending0 }}', '{{ ending1 }}', '{{ ending2 }}', '{{ ending3 }}'],
  target: '{{ gold }}',
  metrics: ['acc', 'acc_norm'],
});
