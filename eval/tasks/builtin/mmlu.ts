/** MMLU (Hendrycks et al., 2021), some subjects: question, four choices, the letter scored. */
import { defineTask } from '../definition.ts';

const SUBJECTS = [
  'abstract_algebra',
  'anatomy',
  'astronomy',
  'college_computer_science',
  'econometrics',
  'formal_logic',
  'global_facts',
  'high_school_geography',
  'international_law',
  'moral_disputes',
  'philosophy',
  'world_religions',
];

export const mmlu = defineTask({
  name: 'mmlu',
  output: 'multiple_choice',
  source: { file: SUBJECTS.map((subject) => `mmlu/${subject}_test.csv`), quote: 'unescaped' },
  fields: { question: 'string', A: 'string', B: 'string', C: 'string', D: 'string', answer: 'integer' },
  prompt: '{{ question | trim }}\nA. {{ A }}\nB. {{ B }}\nC. {{ C }}\nD. {{ D }}\nAnswer:',
  choices: ['A', 'B', 'C', 'D'],
  target: '{{ answer }}',
  slice: "{{ source | replace('_test', '') }}",
  metrics: ['acc'],
});
