/**
 * AMBER (Wang et al., arXiv 2311.07397): descriptions, and questions about existence, attributes and relations, with AMBER's own
 * annotations. Yes is the positive class here, as in POPE; `attune score amber` has AMBER's own sign. The images lie below --images.
 */
import { YES_NO_METRICS } from '../../answers/yes-no.ts';
import { defineTask } from '../definition.ts';

const common = (file: string) =>
  ({
    source: { file: `amber/query/query_${file}.json`, join: { file: 'amber/annotations.json', on: 'id' } },
    id: '{{ id }}',
    image: '{{ image }}',
    prompt: '{{ query }}',
  }) as const;

const generative = defineTask({
  ...common('generative'),
  name: 'amber-generative',
  output: 'caption',
  fields: { id: 'integer', image: 'string', query: 'string', truth: 'list', hallu: 'list' },
  target: '{{ truth | tojson }}',
  imagined: '{{ hallu | tojson }}',
  vocabulary: { relation: 'amber/relation.json', safeWords: 'amber/safe_words.txt' },
  maxTokens: 512,
  metrics: ['amber_chair', 'cover', 'hal', 'cog', 'length'],
});

const questions = (part: 'existence' | 'attribute' | 'relation') =>
  defineTask({
    ...common(`discriminative-${part}`),
    name: `amber-${part}`,
    output: 'yes_no',
    fields: { id: 'integer', image: 'string', query: 'string', truth: 'string', type: 'string' },
    cluster: '{{ image }}',
    slice: '{{ type }}',
    target: '{{ truth }}',
    metrics: [...YES_NO_METRICS],
  });

export const amber = [generative, questions('existence'), questions('attribute'), questions('relation')];
