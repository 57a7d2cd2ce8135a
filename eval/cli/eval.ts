/** attune eval: score models on tasks, untouched and under interventions, with intervals and paired tests. */
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { EvalModel, ModelOptions } from '../model.ts';
import { contentHash } from '../runner/content-hash.ts';
import { costsOf, type TimeCost } from '../runner/costs.ts';
import { type RunReport, reportRuns } from '../runner/report.ts';
import { openRowFile } from '../runner/row-file.ts';
import { runTask, type TaskRows } from '../runner/run.ts';
import { untouched } from '../runner/setting.ts';
import { reportTable } from '../runner/table.ts';
import { helpText, readArguments, type Usage } from './arguments.ts';
import { type EvalPlan, planOf, type ReadIntervention } from './eval-plan.ts';

const USAGE: Usage = {
  command: 'eval',
  summary: 'score models on tasks, untouched and under interventions, with intervals and paired tests',
  flags: {
    model: {
      type: 'string',
      value: '<folder|id>',
      multiple: true,
      description: 'a model in Hub layout; repeatable',
    },
    task: {
      type: 'string',
      value: '<name|file>',
      multiple: true,
      description: 'a built-in task or a task file (docs/tasks.md); repeatable',
    },
    data: {
      type: 'string',
      value: '<folder|file>',
      description:
        "where the tasks' files are; default: beside the task file, $ATTUNE_DATA, ./data, ../shared/data",
    },
    intervention: {
      type: 'string',
      value: '<name>',
      multiple: true,
      description: 'compared with the untouched model; repeatable',
    },
    params: {
      type: 'string',
      value: '<json>',
      multiple: true,
      description: 'parameters of the interventions, in their order',
    },
    limit: { type: 'string', value: '<n>', description: 'a sample of n items of each task' },
    seed: { type: 'string', value: '<s>', description: 'of the sample and the bootstrap; default 0' },
    out: {
      type: 'string',
      value: '<folder>',
      description: 'rows and report; default runs/<hash of what is run>',
    },
    resamples: { type: 'string', value: '<n>', description: 'of the bootstrap; default 10000' },
    dtype: {
      type: 'string',
      value: '<type>',
      description: 'number type of the weights: fp32 (default), fp16, q8, q4, …',
    },
    device: { type: 'string', value: '<name>', description: 'cpu (default), webgpu, …' },
    'skip-bad': { type: 'boolean', description: 'count bad records instead of stopping at the first' },
    'dry-run': { type: 'boolean', description: 'show what would be run and the first prompt of each task' },
    json: { type: 'boolean', description: 'one JSON document on stdout' },
  },
  examples: [
    'attune eval --model models/Qwen2.5-0.5B-Instruct --task copa',
    'attune eval --model models/Qwen2.5-0.5B-Instruct --task boolq --task arc-easy --limit 200 \\',
    '    --intervention zerotuning --params \'{"gamma":1.4}\' --out runs/zerotuning',
    'attune eval --model models/tiny --task my-reviews.task.json --data reviews/ --skip-bad --json > report.json',
    'attune eval --model models/tiny --task hellaswag --limit 5 --dry-run',
  ],
};

/** What the command needs of the world; exchanged in tests. */
export interface EvalWorld {
  loadModel(idOrFolder: string, options: ModelOptions): Promise<EvalModel>;
  readIntervention: ReadIntervention;
  stdout: { write(text: string): unknown };
  stderr: { isTTY?: boolean; write(text: string): unknown };
}

/** Models come with a large library, which --help and --dry-run do without. */
const WORLD: EvalWorld = {
  loadModel: async (...of) => (await import('../model.ts')).loadEvalModel(...of),
  readIntervention: async (json) => (await import('../model.ts')).readIntervention(json),
  stdout: process.stdout,
  stderr: process.stderr,
};

/**
 * An interrupted run keeps its rows; the same command goes on from there.
 * @throws AttuneError ARGUMENT_*, TASK_*, DATA_*, MODEL_*, SCORE_*, RUN_*
 */
export async function evalCommand(argv: readonly string[], world: EvalWorld = WORLD): Promise<number> {
  const args = readArguments(USAGE, argv);
  if (args.flag('help')) {
    world.stdout.write(helpText(USAGE));
    return 0;
  }
  const plan = await planOf(args, world.readIntervention);
  if (args.flag('dry-run')) {
    world.stdout.write(args.flag('json') ? `${JSON.stringify(dryRun(plan))}\n` : dryRunText(plan));
    return 0;
  }
  const report = join(plan.out, 'report.json');
  const sets = await run(plan, world);
  const runs = sets.flatMap((set) => reportRuns(set, plan));
  writeWhole(report, `${JSON.stringify({ ...describe(plan), runs }, null, 2)}\n`);
  const timed = withTimes(runs, sets, plan.seed);
  if (args.flag('json')) world.stdout.write(`${JSON.stringify({ runs: timed, report })}\n`);
  else world.stdout.write(`${reportTable(runs)}\n\n${timesText(timed)}report: ${report}\n`);
  return 0;
}

/** Models one after the other, so that one is in memory at a time. Ctrl-C ends after the row under way. */
async function run(plan: EvalPlan, world: EvalWorld): Promise<TaskRows[]> {
  const stop = new AbortController();
  const onInterrupt = () => stop.abort();
  process.once('SIGINT', onInterrupt);
  try {
    using file = openRowFile(join(plan.out, 'rows.jsonl'));
    const sets: TaskRows[] = [];
    for (const name of plan.models) {
      const model = await world.loadModel(name, plan.modelOptions);
      try {
        for (const task of plan.tasks) {
          const options = { skipBad: plan.skipBad, signal: stop.signal, stream: world.stderr };
          sets.push(await runTask(model, task, plan.settings, file, options));
        }
      } finally {
        await model.dispose();
      }
    }
    return sets;
  } finally {
    process.off('SIGINT', onInterrupt);
  }
}

/** What the report says about how it came about; nothing in it depends on when or how fast. */
function describe({ tasks, models, modelOptions, seed, limit, skipBad, resamples }: EvalPlan) {
  return {
    models,
    modelOptions,
    options: { seed, limit, skipBad, resamples, level: 0.95 },
    tasks: tasks.map(({ task, files, total, items, bad }) => ({
      name: task.name,
      split: task.split,
      definition: contentHash(task),
      files,
      records: total,
      items: items.length,
      bad: bad.map(({ code, at }) => ({ code, at })),
    })),
  };
}

function writeWhole(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(`${path}.partial`, text);
  renameSync(`${path}.partial`, path);
}

type TimedRun = RunReport & { cost: RunReport['cost'] & TimeCost };

const withTimes = (runs: readonly RunReport[], sets: readonly TaskRows[], seed: number): TimedRun[] => {
  const times = sets.flatMap((set) => costsOf(set, seed));
  return runs.map((entry, i) => ({ ...entry, cost: { ...entry.cost, ...times[i]! } }));
};

const timesText = (runs: readonly TimedRun[]): string =>
  runs
    .map(({ task, intervention, cost: { ms, overhead, tokens, unsharedTokens } }) => {
      const ratio =
        intervention === untouched.label ? '' : `, ${overhead.value.toFixed(2)}× the untouched run`;
      const saved = `${(unsharedTokens / tokens).toFixed(1)}× fewer tokens than one pass for each choice`;
      return `${task} ${intervention}: ${(ms / 1000).toFixed(1)} s in the model${ratio}; ${saved}\n`;
    })
    .join('');

const dryRun = ({ tasks, models, settings, out, ...rest }: EvalPlan) => ({
  models,
  settings: settings.map(({ label }) => label),
  out,
  rows: models.length * settings.length * tasks.reduce((sum, { items }) => sum + items.length, 0),
  tasks: describe({ tasks, models, settings, out, ...rest }).tasks.map((task, i) => ({
    ...task,
    first: tasks[i]!.items[0],
  })),
});

function dryRunText(plan: EvalPlan): string {
  const { models, settings, out, rows, tasks } = dryRun(plan);
  const listed = tasks.map(
    ({ name, items, records, bad, first }) =>
      `${name}: ${items} of ${records} items, ${bad.length} bad records; the first:\n${JSON.stringify(first, null, 2)}\n`,
  );
  return `${rows} rows to ${out}: models ${models.join(', ')}; settings ${settings.join(', ')}\n\n${listed.join('\n')}`;
}
