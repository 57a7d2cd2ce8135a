/** ARC (Clark et al., 2018): school science questions, easy and challenge. The files begin each with "Question: ". */
import { defineTask } from '../definition.ts';

const arc = (name: string, file: string) =>
  defineTask({
    name,
    output: 'multiple_choice',
    source: { file },
    fields: { query: 'string', choices: 'list', gold: 'integer' },
    prompt: '{{ query }}\nAnswer:',
    choices: '{{ choices | tojson }}',
    target: '{{ gold }}',
    metrics: ['acc', 'acc_norm'],
  });

export const arcEasy = arc('arc-easy', 'arc-easy/arc_easy.jsonl');
export const arcChallenge = arc('arc-challenge', 'arc-challenge/arc_challenge.jsonl');
