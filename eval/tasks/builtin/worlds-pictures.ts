/**
 * The testbed's picture world (testbed/README.md): scenes drawn at run time, whose usual companions a model names also where
 * they are not. Existence is POPE with its three kinds of absent things, twice: by the log-likelihood of yes and no, and by
 * what is written. Captions are scored by CHAIR. Splits are calibration, validation and test.
 */

import { YES_NO_METRICS } from '../../answers/yes-no.ts';
import { CAPTION_METRICS } from '../../captions/chair.ts';
import { KINDS, NEGATIVES } from '../../data/worlds/pictures/index.ts';
import { defineTask, type TaskDefinition } from '../definition.ts';

const common = {
  fields: {
    id: 'string',
    cluster: 'string',
    scene: 'string',
    prompt: 'string',
    target: 'string',
    choices: 'list',
    gold: 'integer',
    present: 'list',
  },
  id: '{{ id }}',
  cluster: '{{ cluster }}',
  image: '{{ scene }}',
  prompt: '{{ prompt }}',
} as const;

/** Choices have their space already. */
const choosing = {
  ...common,
  output: 'multiple_choice',
  choices: '{{ choices | tojson }}',
  target: '{{ gold }}',
  delimiter: '',
} as const;

const existence = (negatives: (typeof NEGATIVES)[number]): TaskDefinition[] => [
  {
    ...choosing,
    name: `worlds-existence-${negatives}`,
    source: { world: 'existence', negatives },
    positive: 0,
    metrics: [...YES_NO_METRICS],
  },
  {
    ...common,
    name: `worlds-existence-${negatives}-written`,
    output: 'yes_no',
    source: { world: 'existence', negatives },
    target: '{{ target | trim }}',
    maxTokens: 4,
    metrics: [...YES_NO_METRICS],
  },
];

const question = (world: 'attribute' | 'count' | 'spatial'): TaskDefinition => ({
  ...choosing,
  name: `worlds-${world}`,
  source: { world },
  metrics: ['acc'],
});

const captions = (length: 'short' | 'medium' | 'long'): TaskDefinition => ({
  ...common,
  name: `worlds-captions-${length}`,
  output: 'caption',
  source: { world: 'caption', length },
  target: '{{ present | tojson }}',
  vocabulary: KINDS.map((kind) => [kind]),
  maxTokens: 100,
  metrics: [...CAPTION_METRICS],
});

export const worldsPictures = [
  ...NEGATIVES.flatMap(existence),
  ...(['attribute', 'count', 'spatial'] as const).map(question),
  ...(['short', 'medium', 'long'] as const).map(captions),
].map((definition) => defineTask(definition));
