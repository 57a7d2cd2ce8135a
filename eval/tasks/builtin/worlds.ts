/**
 * The testbed's text world (testbed/README.md): short English whose failures are known, made at run time. Splits are
 * calibration, validation and test; the seed of the run is that of the items.
 */
import { defineTask } from '../definition.ts';

const fields = {
  id: 'string',
  cluster: 'string',
  prompt: 'string',
  target: 'string',
  choices: 'list',
  gold: 'integer',
} as const;

/** Choices have their space already. */
const choosing = {
  output: 'multiple_choice',
  id: '{{ id }}',
  cluster: '{{ cluster }}',
  choices: '{{ choices | tojson }}',
  target: '{{ gold }}',
  delimiter: '',
  metrics: ['acc'],
} as const;

const segments = { prefix: '{{ prefix }}', parts: '{{ parts | tojson }}', suffix: '{{ suffix }}' };
const segmentFields = { prefix: 'string', parts: 'list', suffix: 'string', goldPosition: 'integer' } as const;

const whole = (world: 'sentiment' | 'topic') =>
  defineTask({
    ...choosing,
    name: `worlds-${world}`,
    source: { world },
    fields,
    prompt: '{{ prompt }}',
    slice: '{{ target | trim }}',
  });

const inParts = (name: string, source: object) =>
  defineTask({
    ...choosing,
    name,
    source,
    fields: { ...fields, ...segmentFields },
    prompt: segments,
    position: '{{ goldPosition }}',
  });

export const worlds = [
  whole('sentiment'),
  whole('topic'),
  inParts('worlds-choice', { world: 'choice' }),
  inParts('worlds-documents', { world: 'documents' }),
  inParts('worlds-documents-3', { world: 'documents', documents: 3 }),
  inParts('worlds-documents-10', { world: 'documents', documents: 10 }),
  defineTask({
    name: 'worlds-judge',
    output: 'pairwise',
    // Both orders are one item here, so that an order's pair is not asked twice.
    source: { world: 'judge', each: 'cluster', items: 1500 },
    fields: { ...fields, ...segmentFields },
    id: '{{ cluster }}',
    candidates: [
      "{{ parts[0] | replace('First answer: ', '') }}",
      "{{ parts[1] | replace('Second answer: ', '') }}",
    ],
    prompt: {
      prefix: '{{ prefix }}',
      parts: ['First answer: {{ first }}', 'Second answer: {{ second }}'],
      suffix: '{{ suffix }}',
    },
    choices: ['first', 'second'],
    target: '{{ gold }}',
    metrics: ['pair_acc', 'pair_acc_strict', 'consistency', 'first_rate'],
  }),
  defineTask({
    name: 'worlds-story',
    output: 'loglikelihood_rolling',
    source: { world: 'story', items: 1000 },
    fields: { id: 'string', target: 'string' },
    id: '{{ id }}',
    target: '{{ target }}',
    metrics: ['word_perplexity', 'byte_perplexity', 'bits_per_byte'],
  }),
];
