/** BIG-Bench Hard (Suzgun et al., 2022): the tasks of which every item has the same few answers, scored without examples. */
import { defineTask } from '../definition.ts';

const ANSWERS: Record<string, string[]> = {
  boolean_expressions: ['False', 'True'],
  disambiguation_qa: ['(A)', '(B)', '(C)'],
  hyperbaton: ['(A)', '(B)'],
  logical_deduction_three_objects: ['(A)', '(B)', '(C)'],
  navigate: ['No', 'Yes'],
  snarks: ['(A)', '(B)'],
  sports_understanding: ['no', 'yes'],
  tracking_shuffled_objects_three_objects: ['(A)', '(B)', '(C)'],
};

const scored = Object.entries(ANSWERS).map(([file, choices]) =>
  defineTask({
    name: `bbh-${file.replaceAll('_', '-')}`,
    output: 'multiple_choice',
    source: { file: `bbh/${file}.json`, select: 'examples' },
    fields: { input: 'string', target: 'string' },
    prompt: 'Q: {{ input }}\nA:',
    choices,
    target: '{{ target }}',
    targetIs: 'text',
    metrics: ['acc'],
  }),
);

/** Those whose answers differ from item to item are written; the first number or letter counts. */
const written = Object.entries({ object_counting: '\\d+', date_understanding: '\\([A-F]\\)' }).map(
  ([file, extract]) =>
    defineTask({
      name: `bbh-${file.replaceAll('_', '-')}`,
      output: 'generate_until',
      source: { file: `bbh/${file}.json`, select: 'examples' },
      fields: { input: 'string', target: 'string' },
      prompt: 'Q: {{ input }}\nA:',
      target: '{{ target }}',
      until: ['Q:'],
      maxTokens: 64,
      answer: { extract },
      metrics: ['exact_match'],
    }),
);

export const bbh = [...scored, ...written];
