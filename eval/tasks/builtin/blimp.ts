/** BLiMP (Warstadt et al., 2020), some paradigms: the acceptable sentence against its minimal pair. */
import { defineTask } from '../definition.ts';

const PARADIGMS = [
  'anaphor_gender_agreement',
  'animate_subject_trans',
  'determiner_noun_agreement_1',
  'irregular_plural_subject_verb_agreement_1',
  'npi_present_1',
  'wh_questions_object_gap',
];

export const blimp = defineTask({
  name: 'blimp',
  output: 'multiple_choice',
  source: { file: PARADIGMS.map((paradigm) => `blimp/${paradigm}.jsonl`) },
  fields: { sentence_good: 'string', sentence_bad: 'string', UID: 'string', pairID: 'string' },
  split: 'train',
  id: '{{ UID }}/{{ pairID }}',
  prompt: '',
  choices: ['{{ sentence_good }}', '{{ sentence_bad }}'],
  target: '0',
  slice: '{{ UID }}',
  metrics: ['acc'],
});
