/**
 * Which of two answers to an instruction is better, asked in both orders. LLMBar (Zeng et al., 2024): one answer follows
 * the instruction, in the adversarial sets the other looks better. PandaLM (Wang et al., 2024): three annotators; pairs
 * whose majority is a tie are left out.
 */
import { defineTask } from '../definition.ts';

/** The median of three verdicts is their majority wherever two agree. */
const MAJORITY = '([annotator1, annotator2, annotator3] | sort)[1]';

/** The answers with their marks are the parts that a method against position bias is given. */
const asked = (instruction: string) => ({
  prefix: `Instruction:\n${instruction}\n\n`,
  parts: ['Output (a):\n{{ first | trim }}\n\n', 'Output (b):\n{{ second | trim }}\n\n'],
  suffix: 'Which output follows the instruction better? Output (',
});

const judged = {
  output: 'pairwise',
  choices: ['a', 'b'],
  delimiter: '',
  metrics: ['pair_acc', 'pair_acc_strict', 'consistency', 'first_rate'],
} as const;

export const llmbar = defineTask({
  ...judged,
  name: 'llmbar',
  source: {
    file: ['Natural', 'Adversarial/Neighbor', 'Adversarial/GPTOut'].map(
      (set) => `llmbar/${set}/dataset.json`,
    ),
  },
  fields: { input: 'string', output_1: 'string', output_2: 'string', label: 'integer' },
  candidates: ['{{ output_1 }}', '{{ output_2 }}'],
  prompt: asked('{{ input | trim }}'),
  target: '{{ label - 1 }}',
});

export const pandalm = defineTask({
  ...judged,
  name: 'pandalm',
  source: { file: 'pandalm/testset-v1.json' },
  fields: {
    instruction: 'string',
    input: 'string',
    // Some answers are the word true, and the file has them without quotes.
    response1: 'text',
    response2: 'text',
    annotator1: 'integer',
    annotator2: 'integer',
    annotator3: 'integer',
    motivation_app: 'string',
  },
  where: `{{ ${MAJORITY} > 0 }}`,
  candidates: ['{{ response1 }}', '{{ response2 }}'],
  prompt: asked("{{ instruction | trim }}{{ '\\n\\n' ~ input if input else '' }}"),
  target: `{{ ${MAJORITY} - 1 }}`,
});
