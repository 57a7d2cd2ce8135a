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
import { textItems } from '../../eval/data/worlds/text/index.ts';
import { type EvalModel, loadEvalModel, readIntervention } from '../../eval/models/load.ts';
import type { MultipleChoiceItem } from '../../eval/outputs/multiple-choice.ts';
import { openRowFile } from '../../eval/runner/row-file.ts';
import { runTask } from '../../eval/runner/run.ts';
import { inProcess } from '../../eval/runner/scorer.ts';
import { baseline, settingOf } from '../../eval/runner/setting.ts';
import { causalLanguageModel } from '../../eval/scoring/causal-language-model.ts';
import { type CausalModel, Pass } from '../../eval/scoring/pass.ts';
import { builtinTasks } from '../../eval/tasks/builtin/index.ts';
import { defineTask } from '../../eval/tasks/definition.ts';
import { loadItems } from '../../eval/tasks/items.ts';
import { qwenInt4Folder } from '../models/qwen-int4.ts';
import { type Clock, compare, paired, type Sample, spread, timed } from '../paired.ts';
import type { Measurement, RunOptions, Suite } from '../suite.ts';

const CHOICES = 4;
const PICTURES = fileURLToPath(new URL('../../testbed/models/worlds-vlm', import.meta.url));
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
): Promise<{ rows: number; tokens: number; unshared: number; whole: Sample }> {
  const folder = mkdtempSync(join(tmpdir(), 'attune-bench-'));
  try {
    using file = openRowFile(join(folder, 'rows.jsonl'));
    const run = { task, items: items(n), order: [...Array(n).keys()], bad: [], total: n, split: 'test' };
    const whole = await timed(() =>
      runTask(inProcess(model), run, [baseline], file, { stream: { write: () => true } }),
    );
    const costs = [...file.rows.values()].map(({ cost }) => cost);
    const sum = (of: (cost: (typeof costs)[number]) => number) =>
      costs.reduce((total, cost) => total + of(cost), 0);
    return {
      rows: costs.length,
      tokens: sum((cost) => cost.tokens),
      unshared: sum((cost) => cost.unsharedTokens),
      whole,
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

/** VCD needs two decoder runs a prompt, one of which the baseline has made. */
async function contrastTokens({ effort }: RunOptions): Promise<Measurement> {
  const model = await loadEvalModel(PICTURES);
  const task = builtinTasks.get('worlds-existence-random')!;
  const settings = [baseline, settingOf('vcd', [readIntervention({ intervention: 'vcd' })])];
  const scorer = inProcess(model);
  const total = { tokens: 0, reused: 0, ms: 0, reusedMs: 0 };
  try {
    const { items } = await loadItems(task, { root: '', limit: 40 * effort });
    for (const item of items) {
      for await (const { setting, cost } of scorer.score({ task, item, settings, skipBad: false })) {
        if (setting !== 'vcd') continue;
        total.tokens += 2 * cost.tokens;
        total.reused += cost.reusedTokens;
        total.ms += cost.ms;
        total.reusedMs += cost.reusedMs;
      }
    }
  } finally {
    await scorer.dispose();
  }
  const { tokens, reused, ms, reusedMs } = total;
  return {
    ratio: (tokens - reused) / tokens,
    note: `${tokens - reused} of ${tokens} positions run in both streams; ${((100 * reusedMs) / ms).toFixed(0)} % of the time not spent again`,
  };
}

/** Encoding, ranking, hashing, writing rows and progress, as a share of the time inside the model. */
async function overheadOf({ model, inside }: Clocked, n: number, clock: Clock): Promise<Measurement> {
  try {
    await evaluate(model, 2);
    const before = inside[clock];
    const { rows, whole } = await evaluate(model, n);
    const ms = inside[clock] - before;
    const rest = whole[clock] - ms;
    return {
      value: (100 * rest) / ms,
      note: `${(rest / rows).toFixed(2)} ms a row beside ${(ms / rows).toFixed(1)} ms in the model`,
    };
  } finally {
    await model.dispose();
  }
}

const PROMPT = 512;

/** What is left of a prompt's time when only its last position's logits are computed, as when a text goes on from there. */
async function lastLogits({ effort, clock }: RunOptions): Promise<Measurement> {
  const model = await AutoModelForCausalLM.from_pretrained(await qwenInt4Folder(), { dtype: 'q4' });
  const pass = new Pass(model as unknown as CausalModel);
  const ids = Array.from({ length: PROMPT }, (_, i) => 1000 + i);
  const prompt = async (logitsFrom: number) => {
    const { past } = await pass.run(ids, { logitsFrom });
    await past.dispose();
  };
  try {
    const all = () => prompt(0);
    const last = () => prompt(PROMPT - 1);
    const comparison = compare(await paired(all, last, { pairs: Math.ceil(7 * effort) }), clock);
    const { baselineMs, ms, ratio } = comparison;
    return { baselineMs, ms, ratio, note: spread(comparison) };
  } finally {
    await model.dispose();
  }
}

/** A model, and the time that was spent in its calls so far. */
interface Clocked {
  model: EvalModel;
  inside: { wall: number; cpu: number };
}

/** Threads that wait for the next run by spinning would spend the harness's processor time, whatever it does. */
const session_options = { extra: { session: { intra_op: { allow_spinning: '0' } } } };

/** With the tokenizer of the worlds: what a model of random weights says means nothing, what it costs is real. */
async function clocked(folder: string, dtype: 'fp32' | 'q4'): Promise<Clocked> {
  const model = await AutoModelForCausalLM.from_pretrained(folder, { dtype, session_options });
  const tokenizer = await AutoTokenizer.from_pretrained(WORLDS, { local_files_only: true });
  const inside = { wall: 0, cpu: 0 };
  const { forward } = model;
  model.forward = async (inputs: object) => {
    let outputs: object = {};
    const { wall, cpu } = await timed(async () => {
      outputs = await forward.call(model, inputs);
    });
    inside.wall += wall;
    inside.cpu += cpu;
    return outputs;
  };
  const evaluated: EvalModel = {
    name: folder,
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
  return { model: evaluated, inside };
}

export const evalSuite: Suite = {
  name: 'eval',
  summary: 'evaluation beside the model: tokens computed, time that is not the model’s',
  cases: [
    { case: '4 choices, tokens over one pass each', bound: 0.5, run: sharedTokens },
    { case: 'VCD after the baseline, positions run over needed', bound: 0.55, run: contrastTokens },
    {
      case: `prompt of ${PROMPT}, last logits over all of them, Qwen2.5-0.5B shape in int4`,
      run: lastLogits,
    },
    {
      case: 'harness time, % of model time, Qwen2.5-0.5B shape in int4',
      bound: 2,
      bounds: 'value',
      run: async ({ effort, clock }: RunOptions) =>
        overheadOf(await clocked(await qwenInt4Folder(), 'q4'), 12 * effort, clock),
    },
    {
      // Without a bound: a model of a million parameters is no measure, its time for a row is that of the harness.
      case: 'harness time, % of model time, worlds-lm of 1 M parameters',
      run: async ({ effort, clock }: RunOptions) =>
        overheadOf(await clocked(WORLDS, 'fp32'), 100 * effort, clock),
    },
  ],
};
