/**
 * Sets whose file has the whole prompt with lettered choices and "Answer:" at its end; the letter is scored.
 * CommonsenseQA (Talmor et al., 2019), Social IQa (Sap et al., 2019), MathQA (Amini et al., 2019).
 */
import { defineTask } from '../definition.ts';

const lettered = (name: string, file: string, split: string) =>
  defineTask({
    name,
    output: 'multiple_choice',
    source: { file },
    fields: { query: 'string', choices: 'list', gold: 'integer' },
    split,
    prompt: '{{ query | trim }}',
    choices: '{{ choices | tojson }}',
    target: '{{ gold }}',
    metrics: ['acc'],
  });

export const commonsenseQa = lettered('commonsense-qa', 'commonsense-qa/commonsense_qa.jsonl', 'validation');
export const siqa = lettered('siqa', 'siqa/siqa.jsonl', 'validation');
export const mathQa = lettered('math-qa', 'math-qa/math_qa.jsonl', 'test');
