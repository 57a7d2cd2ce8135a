/**
 * What evaluation costs beyond the model: tokens that need not be computed, and time that is not the model's.
 *
 * The items are four ways for a story to go on, of one context: prompts of some 70 tokens and answers of some 10, as multiple
 * choice has them.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { AutoModelForCausalLM, AutoTokenizer } from '@huggingface/transformers';
import { type EvalModel, loadEvalModel } from '../../eval/model.ts';
import { openRowFile } from '../../eval/runner/row-file.ts';
import { runTask } from '../../eval/runner/run.ts';
import { inProcess } from '../../eval/runner/scorer.ts';
import { untouched } from '../../eval/runner/setting.ts';
import { causalLanguageModel } from '../../eval/scoring/causal-language-model.ts';
import type { CausalModel } from '../../eval/scoring/pass.ts';
import { defineTask } from '../../eval/tasks/definition.ts';
import type { MultipleChoiceItem } from '../../eval/tasks/item.ts';
import { textItems } from '../../testbed/worlds/text/index.ts';
import { qwenInt4Folder } from '../models/qwen-int4.ts';
import { timed } from '../paired.ts';
import type { Measurement, RunOptions, Suite } from '../suite.ts';

const CHOICES = 4;
const WORLDS = fileURLToPath(new URL('../../testbed/models/worlds-lm', import.meta.url));

const task = defineTask({
  name: 'story-ends',
  output: 'multiple_choice',
  source: { world: 'story' },
  fields: { id: 'string', target: 'string' },
  prompt: '{{ target }}',
  choices: ['a', 'b'],
  target: '0',
  metrics: ['acc', 'acc_norm'],
});

/** A story up to its last sentence, which is the right answer among the last sentences of three others. */
function items(n: number): MultipleChoiceItem[] {
  const stories = textItems('story', 'test', CHOICES * n).map(({ target }) => target.split(/(?<=\.) /));
  return Array.from({ length: n }, (_, i) => {
    const own = stories.slice(CHOICES * i, CHOICES * (i + 1));
    const gold = i % CHOICES;
    const context = own[gold]!.slice(0, -1).join(' ');
    const options = own.map((sentences) => {
      const text = sentences.at(-1)!;
      return { context, continuation: ` ${text}`, text };
    });
    return { id: `${i}`, at: `story:${i}`, output: 'multiple_choice', options, gold };
  });
}

/** Rows of n items into a file of their own, as attune eval makes them. */
async function evaluate(
  model: EvalModel,
  n: number,
): Promise<{ rows: number; tokens: number; unshared: number; ms: number; wall: number }> {
  const folder = mkdtempSync(join(tmpdir(), 'attune-bench-'));
  try {
    using file = openRowFile(join(folder, 'rows.jsonl'));
    const run = { task, items: items(n), bad: [], total: n, split: 'test' };
    const { wall } = await timed(() =>
      runTask(inProcess(model), run, [untouched], file, { stream: { write: () => true } }),
    );
    const costs = [...file.rows.values()].map(({ cost }) => cost);
    const sum = (of: (cost: (typeof costs)[number]) => number) =>
      costs.reduce((total, cost) => total + of(cost), 0);
    return {
      rows: costs.length,
      tokens: sum((cost) => cost.tokens),
      unshared: sum((cost) => cost.unsharedTokens),
      ms: sum((cost) => cost.ms),
      wall,
    };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function sharedTokens(): Promise<Measurement> {
  const model = await loadEvalModel(WORLDS);
  try {
    const { rows, tokens, unshared } = await evaluate(model, 40);
    return {
      ratio: tokens / unshared,
      note: `${tokens} tokens computed for ${rows} items of ${CHOICES} choices, ${unshared} by one pass for each choice`,
    };
  } finally {
    await model.dispose();
  }
}

/** Encoding, ranking, hashing, writing rows and progress, as a share of the time inside the model. */
async function overheadOf(model: EvalModel, n: number): Promise<Measurement> {
  try {
    await evaluate(model, 2);
    const { rows, ms, wall } = await evaluate(model, n);
    return {
      value: (100 * (wall - ms)) / ms,
      note: `${((wall - ms) / rows).toFixed(2)} ms a row beside ${(ms / rows).toFixed(1)} ms in the model`,
    };
  } finally {
    await model.dispose();
  }
}

/** The shape of Qwen2.5-0.5B with the tokenizer of the worlds: what it says means nothing, what it costs is real. */
async function qwen(): Promise<EvalModel> {
  const model = await AutoModelForCausalLM.from_pretrained(await qwenInt4Folder(), { dtype: 'q4' });
  const tokenizer = await AutoTokenizer.from_pretrained(WORLDS, { local_files_only: true });
  return {
    name: 'qwen2.5-0.5b-int4',
    fingerprint: 'bench',
    software: {},
    language: causalLanguageModel(model as unknown as CausalModel, tokenizer),
    checkProfile: async () => undefined,
    headMaps: async () => [],
    use: async () => undefined,
    dispose: async () => {
      await model.dispose();
    },
  };
}

export const evalSuite: Suite = {
  name: 'eval',
  summary: 'evaluation beside the model: tokens computed, time that is not the model’s',
  cases: [
    { case: '4 choices, tokens over one pass each', bound: 0.5, run: sharedTokens },
    {
      case: 'harness time, % of model time, Qwen2.5-0.5B shape in int4',
      bound: 2,
      bounds: 'value',
      run: async ({ effort }: RunOptions) => overheadOf(await qwen(), 12 * effort),
    },
    {
      // Without a bound: a model of a million parameters is no measure, its time for a row is that of the harness.
      case: 'harness time, % of model time, worlds-lm of 1 M parameters',
      run: async ({ effort }: RunOptions) => overheadOf(await loadEvalModel(WORLDS), 100 * effort),
    },
  ],
};
