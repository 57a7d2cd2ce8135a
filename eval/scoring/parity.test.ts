/**
 * Sample by sample against lm-evaluation-harness 0.4.13: the same exported model, the same records, the same tokens,
 * log-likelihoods and metrics. fixtures/make.py made the harness's side.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { metrics } from '../metrics/index.ts';
import { type EvalModel, loadEvalModel } from '../models/load.ts';
import type { Score } from '../outputs/score.ts';
import { scoreItem } from '../outputs/score-item.ts';
import { defineTask } from '../tasks/definition.ts';
import { loadItems } from '../tasks/items.ts';

interface Sample {
  doc: number;
  /** [log-likelihood, is greedy] for each option; a number for a text; what was written. */
  responses: ([number, boolean] | number | string)[];
  /** What was extracted of it. */
  filtered?: string[];
  [metric: string]: unknown;
}
const fixtures = new URL('fixtures/', import.meta.url);
const harness: {
  model: { folder: string; sha256: string };
  tasks: Record<string, { results: Record<string, number>; samples: Sample[] }>;
} = JSON.parse(readFileSync(new URL('lm-evaluation-harness.json', fixtures), 'utf8'));
const folder = fileURLToPath(new URL(`../../testbed/fixtures/${harness.model.folder}`, import.meta.url));

const TASKS = [
  {
    name: 'choice',
    output: 'multiple_choice',
    source: { file: 'choice.jsonl' },
    fields: { query: 'string', choices: 'list', gold: 'integer' },
    prompt: '{{ query }}',
    choices: '{{ choices | tojson }}',
    target: '{{ gold }}',
    metrics: ['acc', 'acc_norm', 'acc_bytes'],
  },
  {
    name: 'mutual',
    output: 'multiple_choice',
    source: { file: 'yes-no.jsonl' },
    fields: { passage: 'string', question: 'string', answer: 'integer' },
    prompt: '{{ passage }}\nquestion: {{ question }}?\nanswer:',
    choices: ['no', 'yes'],
    target: '{{ answer }}',
    metrics: ['acc', 'acc_mutual_info'],
  },
  {
    name: 'blank',
    output: 'multiple_choice',
    source: { file: 'blank.jsonl' },
    fields: { contexts: 'list', continuation: 'string', gold: 'integer' },
    prompt: ['{{ contexts[0] }}', '{{ contexts[1] }}'],
    choices: ['{{ continuation }}'],
    target: '{{ gold }}',
    metrics: ['acc'],
  },
  {
    name: 'word',
    output: 'loglikelihood',
    source: { file: 'word.jsonl' },
    fields: { text: 'string', word: 'string' },
    prompt: '{{ text }}',
    target: '{{ word }}',
    metrics: ['acc', 'perplexity'],
  },
  {
    name: 'text',
    output: 'loglikelihood_rolling',
    source: { file: 'text.jsonl' },
    fields: { page: 'string' },
    target: '{{ page }}',
    metrics: ['word_perplexity', 'byte_perplexity', 'bits_per_byte'],
  },
  {
    name: 'write',
    output: 'generate_until',
    source: { file: 'write.jsonl' },
    fields: { prompt: 'string', answer: 'string' },
    prompt: '{{ prompt }}',
    target: '{{ answer }}',
    until: ['\n', 'reu', '33334'],
    maxTokens: 24,
    answer: { extract: '([a-z]+)[^a-z]*$', take: 'last', ignore: ['case', 'punctuation'] },
    metrics: ['exact_match'],
  },
].map((definition) => defineTask(definition));

let model: EvalModel;
beforeAll(async () => {
  model = await loadEvalModel(folder);
});
afterAll(() => model.dispose());

test('the model is the one that the harness ran', () => {
  const bytes = readFileSync(`${folder}/onnx/model.onnx`);
  expect(createHash('sha256').update(bytes).digest('hex')).toBe(harness.model.sha256);
});

describe.each(TASKS)('$name', (task) => {
  const { results, samples } = harness.tasks[task.name]!;
  const scores: Score[] = [];

  beforeAll(async () => {
    const { items } = await loadItems(task, { root: fileURLToPath(new URL('parity', fixtures)) });
    for (const item of items) scores.push(await scoreItem(model.language, item, task.metrics));
  });

  test('what the model said', () => {
    expect(scores).toHaveLength(samples.length);
    for (const { doc, responses, filtered } of samples) {
      if (typeof responses[0] === 'string') {
        expect(scores[doc]!.text).toBe(responses[0]);
        expect(scores[doc]!.extracted ?? '[invalid]').toBe(filtered![0]);
        continue;
      }
      const { logLikelihoods, unconditional = [], greedy } = scores[doc]!;
      const own = [...logLikelihoods, ...unconditional];
      expect(own).toHaveLength(responses.length);
      responses.forEach((response, i) => {
        const [theirs, theirGreedy] = typeof response === 'object' ? response : [Number(response), undefined];
        // The harness adds up a text's log-likelihoods in float32: 6e-8 of thousands of nats.
        expect(Math.abs(own[i]! - theirs)).toBeLessThan(1e-4 + 6e-8 * Math.abs(theirs));
        if (greedy !== undefined) expect(greedy).toBe(theirGreedy);
      });
    }
  });

  test('metrics of every sample, and of all', () => {
    for (const metric of task.metrics) {
      for (const sample of samples) {
        const [numerator, denominator] = scores[sample.doc]!.terms[metric]!;
        const theirs = sample[metric];
        if (metrics[metric].binary) expect([numerator, denominator]).toEqual([theirs, 1]);
        // Of a text the harness keeps the pair, of a continuation the log-likelihood alone.
        else expect(denominator).toBe(Array.isArray(theirs) ? theirs[1] : 1);
      }
      const sum = (k: 0 | 1) => scores.reduce((total, { terms }) => total + terms[metric]![k], 0);
      const value = metrics[metric].finish(sum(0) / sum(1));
      expect(Math.abs(value / results[metric]! - 1)).toBeLessThan(1e-6);
    }
  });
});
