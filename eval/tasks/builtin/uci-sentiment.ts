/** Sentiment Labelled Sentences (Kotzias et al., 2015): reviews of films, products and restaurants, negative or positive. */
import { defineTask } from '../definition.ts';

export const uciSentiment = defineTask({
  name: 'uci-sentiment',
  output: 'multiple_choice',
  source: {
    file: ['imdb', 'amazon_cells', 'yelp'].map((site) => `uci-sentiment-sentences/${site}_labelled.txt`),
    format: 'tsv',
    columns: ['sentence', 'label'],
    quote: false,
  },
  fields: { sentence: 'string', label: 'integer' },
  prompt: 'Review: {{ sentence | trim }}\nSentiment:',
  choices: ['negative', 'positive'],
  target: '{{ label }}',
  slice: '{{ source }}',
  metrics: ['acc'],
});
