/**
 * In-context functions of Todd et al. (2024): a word and what becomes of it, after five pairs of the same function. The
 * abstractive ones (antonym, capital, plural …) need knowledge, the extractive ones pick from a list.
 */
import { defineTask } from '../definition.ts';

const functions = (kind: string, names: readonly string[]) =>
  defineTask({
    name: `function-vectors-${kind}`,
    output: 'loglikelihood',
    source: { file: names.map((name) => `function-vectors/${kind}/${name}.json`) },
    fields: { input: 'string', output: 'string' },
    prompt: 'Q: {{ input }}\nA:',
    target: '{{ output }}',
    slice: '{{ source }}',
    shots: 5,
    metrics: ['acc', 'perplexity'],
  });

export const functionVectors = [
  functions('abstractive', [
    'antonym',
    'capitalize',
    'country-capital',
    'english-french',
    'landmark-country',
    'next_item',
    'person-instrument',
    'present-past',
    'product-company',
    'singular-plural',
  ]),
  functions('extractive', [
    'adjective_v_verb_3',
    'alphabetically_first_5',
    'choose_middle_of_5',
    'color_v_animal_3',
    'fruit_v_animal_5',
  ]),
];
