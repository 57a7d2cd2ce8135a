/**
 * POPE (Li et al., 2023): is there such an object in the image? Three ways to choose absent ones; by the log-likelihood of yes and
 * no, and by what is written (with the words of VCD's evaluation, and a reading that says when it could not read). The images are COCO val2014,
 * below --images.
 */
import { YES_NO_METRICS } from '../../answers/yes-no.ts';
import { defineTask, type TaskDefinition } from '../definition.ts';

const split = (negatives: 'random' | 'popular' | 'adversarial'): TaskDefinition[] => {
  const common = {
    source: { file: `pope/coco_pope_${negatives}.json`, format: 'jsonl' },
    fields: { question_id: 'integer', image: 'string', text: 'string', label: 'string' },
    id: '{{ question_id }}',
    cluster: '{{ image }}',
    image: '{{ image }}',
    prompt: '{{ text }} Please answer this question with one word.',
    split: 'validation',
  } as const;
  return [
    {
      ...common,
      name: `pope-${negatives}`,
      output: 'multiple_choice',
      choices: ['Yes', 'No'],
      target: "{{ 0 if label == 'yes' else 1 }}",
      positive: 0,
      metrics: [...YES_NO_METRICS],
    },
    {
      ...common,
      name: `pope-${negatives}-written`,
      output: 'yes_no',
      target: '{{ label }}',
      maxTokens: 10,
      metrics: [...YES_NO_METRICS],
    },
  ];
};

export const pope = [...split('random'), ...split('popular'), ...split('adversarial')].map((one) =>
  defineTask(one),
);
