/** Relations of Hernandez et al. (2024), each a sentence that the object completes, in the first wording of its file. */
import { defineTask } from '../definition.ts';

const FILES = {
  factual: [
    'city_in_country',
    'country_capital_city',
    'country_currency',
    'country_language',
    'landmark_in_country',
    'person_plays_instrument',
    'product_by_company',
    'star_constellation',
  ],
  commonsense: ['fruit_inside_color', 'object_superclass', 'task_done_by_tool', 'word_sentiment'],
  linguistic: ['adj_antonym', 'adj_comparative', 'verb_past_tense', 'word_first_letter'],
};

export const relations = defineTask({
  name: 'relations',
  output: 'loglikelihood',
  source: {
    file: Object.entries(FILES).flatMap(([kind, names]) =>
      names.map((name) => `relations/${kind}/${name}.json`),
    ),
    nested: ['samples'],
  },
  fields: { prompt_templates_zs: 'list', subject: 'string', object: 'string' },
  prompt: "{{ prompt_templates_zs[0] | replace('{}', subject) }}",
  target: '{{ object }}',
  slice: '{{ source }}',
  metrics: ['acc', 'perplexity'],
});
