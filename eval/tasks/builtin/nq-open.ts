/**
 * Open questions of NaturalQuestions with the passage that answers them (Lost in the Middle; Liu et al., 2023): alone, or among
 * nine others at one of three places. Prompt and metric are the paper's; its other passages were retrieved for the question, here
 * they are those of other questions, which distract less.
 */
import { defineTask } from '../definition.ts';

const common = {
  output: 'generate_until',
  target: '{{ answers | tojson }}',
  targetIs: 'list',
  split: 'validation',
  until: ['\n'],
  maxTokens: 100,
  answer: { ignore: ['case', 'punctuation', 'articles', 'space'] },
  metrics: ['contains'],
};
const FILE = 'lost-in-the-middle/nq-open-oracle.jsonl.gz';
const FIELDS = { question: 'string', answers: 'list', ctxs: 'list' };
const INSTRUCTION =
  'Write a high-quality answer for the given question using only the provided search results (some of which might be irrelevant).\n\n';
const QUESTION = 'Question: {{ question }}\nAnswer:';

export const nqOpenOracle = defineTask({
  ...common,
  name: 'nq-open-oracle',
  source: { file: FILE },
  fields: FIELDS,
  prompt: `${INSTRUCTION}Document [1](Title: {{ ctxs[0].title }}) {{ ctxs[0].text }}\n\n${QUESTION}`,
});

/** Interchangeable parts have no numbers, which would tell where they stand. */
const DOCUMENTS = `{%- set ns = namespace(others=[]) -%}
{%- for other in others -%}{%- set ns.others = ns.others + [other.ctxs[0]] -%}{%- endfor -%}
{%- set out = namespace(parts=[]) -%}
{%- for document in ns.others[:position] + [ctxs[0]] + ns.others[position:] -%}
{%- set out.parts = out.parts + ['Document (Title: ' ~ document.title ~ ') ' ~ document.text ~ '\\n'] -%}
{%- endfor -%}
{{ out.parts | tojson }}`;

export const nqOpen10 = defineTask({
  ...common,
  name: 'nq-open-10',
  source: { file: FILE, others: { count: 9, as: 'others' } },
  fields: { ...FIELDS, others: 'list' },
  variants: { position: [0, 4, 9] },
  position: '{{ position }}',
  prompt: { prefix: INSTRUCTION, parts: DOCUMENTS, suffix: `\n${QUESTION}` },
});
