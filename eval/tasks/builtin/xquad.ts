/** XQuAD (Artetxe et al., 2020), English: SQuAD 1.1 questions, an answer from the paragraph, SQuAD's own normalisation. */
import { defineTask } from '../definition.ts';

export const xquadEn = defineTask({
  name: 'xquad-en',
  output: 'generate_until',
  source: { file: 'xquad/xquad.en.json', select: 'data', nested: ['paragraphs', 'qas'] },
  fields: { id: 'string', context: 'string', question: 'string', answers: 'list' },
  split: 'validation',
  id: '{{ id }}',
  cluster: '{{ context }}',
  prompt: 'Context: {{ context | trim }}\n\nQuestion: {{ question | trim }}\n\nAnswer:',
  target: "{{ answers | map(attribute='text') | list | tojson }}",
  targetIs: 'list',
  until: ['\n'],
  maxTokens: 40,
  answer: { ignore: ['case', 'punctuation', 'articles', 'space'] },
  metrics: ['f1', 'exact_match'],
});
