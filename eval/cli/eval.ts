/** attune eval: score models on tasks, without and under interventions, with intervals and paired tests. */
import { join } from 'node:path';
import { describeTasks } from '../evaluate/document.ts';
import { EVALUATE_WORLD, type EvaluateWorld, evaluatePlan } from '../evaluate/evaluate.ts';
import { type EvalPlan, evalPlan } from '../evaluate/plan.ts';
import { reportTable } from '../reports/table.ts';
import type { TimeCost } from '../runner/costs.ts';
import { gateText } from '../runner/gate.ts';
import type { RunReport } from '../runner/report.ts';
import { baseline } from '../runner/setting.ts';
import { builtinTasks } from '../tasks/builtin/index.ts';
import { guarded } from '../terminal.ts';
import { helpText, readArguments, type Usage } from './arguments.ts';
import { evalOptions } from './eval-options.ts';
import { commandLine, jsonOutput } from './eval-output.ts';
import { interruptible } from './interrupt.ts';
import { CHAT_FLAGS, MODEL_FLAGS } from './model-flags.ts';

const USAGE: Usage = {
  command: 'eval',
  summary: 'score models on tasks, without and under interventions, with intervals and paired tests',
  flags: {
    model: {
      type: 'string',
      value: '<folder|id>',
      multiple: true,
      description:
        'needed; a folder in Hub layout (config.json, tokenizer.json, onnx/) or a Hub id; repeatable',
    },
    task: {
      type: 'string',
      value: '<name|file>',
      multiple: true,
      description:
        'needed; a built-in task (below) or a task file, which may name a data set of the Hub (docs/tasks.md); repeatable',
    },
    data: {
      type: 'string',
      value: '<folder|file>',
      description:
        "where the tasks' files are; default: beside the task file, $ATTUNE_DATA, ./data, ../shared/data",
    },
    images: {
      type: 'string',
      value: '<folder>',
      description: "where the tasks' pictures are; default: the data",
    },
    'allow-outside': {
      type: 'boolean',
      description: 'tasks and records may name files and pictures outside these folders (docs/trust.md)',
    },
    intervention: {
      type: 'string',
      value: '<name>',
      multiple: true,
      description: 'a method (below), compared with the baseline; repeatable',
    },
    params: {
      type: 'string',
      value: '<json>',
      multiple: true,
      description:
        'of each --intervention, in their order; default: the method’s own (docs/interventions.md)',
    },
    profile: {
      type: 'string',
      value: '<file>',
      multiple: true,
      description: 'what attune calibrate found for this model, compared likewise; repeatable',
    },
    metric: {
      type: 'string',
      value: '<name>',
      multiple: true,
      description: 'measured besides each task’s own metrics (docs/evaluation.md); repeatable',
    },
    limit: { type: 'string', value: '<n>', description: 'a sample of n items of each task; default: all' },
    split: {
      type: 'string',
      value: '<name>',
      description:
        'part of the data: of the worlds-… tasks calibration, validation or test (default); of a Hub data set any it has',
    },
    seed: {
      type: 'string',
      value: '<s>',
      description: "of the sample, the worlds' items and the bootstrap; default 0",
    },
    out: {
      type: 'string',
      value: '<folder>',
      description: 'rows and report; default runs/<hash of what is run>',
    },
    'sample-id': {
      type: 'string',
      value: '<id>',
      multiple: true,
      description: 'only the item of this id, without a sample; repeatable',
    },
    gate: {
      type: 'string',
      value: '<bound>',
      multiple: true,
      description:
        'exit code 2 unless "[task[/intervention]:] [delta.]metric>=bound[@pNN]" holds; repeatable',
    },
    resamples: { type: 'string', value: '<n>', description: 'of the bootstrap; default 10000' },
    'head-maps': {
      type: 'string',
      value: '<n>',
      description: 'what each head does under every setting, on n prompts of each task; default none',
    },
    shard: {
      type: 'string',
      value: '<i/n>',
      description: 'part i of n of the items, for one machine of several; attune merge puts them together',
    },
    workers: {
      type: 'string',
      value: '<n>',
      description: 'processes that score side by side, each with the model in memory; default 1: this one',
    },
    threads: {
      type: 'string',
      value: '<n>',
      description: 'of each process; default with workers: those of the machine shared among them',
    },
    ...MODEL_FLAGS,
    ...CHAT_FLAGS,
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
    'attune eval --model models/SmolLM2-135M-Instruct --task boolq --chat --system "Answer yes or no."',
    'attune eval --model models/tiny --task hellaswag --shard 2/8 --out runs/tiny/2   # then: attune merge runs/tiny/*',
    'attune eval --model testbed/models/worlds-lm --task worlds-documents --split validation --workers 2',
    'attune eval --model models/tiny --task copa --intervention zerotuning --gate "acc>=0.60" --gate "delta.acc>=-0.01@p95"',
  ],
};

/** What the command needs of the world; exchanged in tests. */
export interface EvalWorld extends EvaluateWorld {
  stdout: { write(text: string): unknown };
}

export const WORLD: EvalWorld = {
  ...EVALUATE_WORLD,
  stdout: process.stdout,
  stderr: process.stderr,
};

/**
 * An interrupted run keeps its rows; the same command goes on from there.
 * @throws AttuneError ARGUMENT_*, TASK_*, DATA_*, PROFILE_*, GATE_*, MODEL_*, SCORE_*, RUN_*
 */
export async function evalCommand(argv: readonly string[], given: EvalWorld = WORLD): Promise<number> {
  const world = { ...given, stdout: guarded(given.stdout), stderr: guarded(given.stderr) };
  const args = readArguments(USAGE, argv);
  if (args.flag('help')) {
    const { interventionText } = await import('./lists.ts');
    const named = args.positionals.map((name) => `\n${interventionText(name)}`);
    world.stdout.write(named.join('') || `${helpText(USAGE)}\n${await namesText()}`);
    return 0;
  }
  const plan = await evalPlan(evalOptions(args), world.readIntervention);
  const out = args.text('out') ?? outOf(plan);
  if (args.flag('dry-run')) {
    world.stdout.write(args.flag('json') ? `${JSON.stringify(dryRun(plan, out))}\n` : dryRunText(plan, out));
    return 0;
  }
  const { report, costs, gates, pass, files } = await interruptible((signal) =>
    evaluatePlan(plan, {
      out,
      world: { ...world, signal },
      command: plan.shard ? commandOf(argv) : commandLine('eval', argv),
    }),
  );
  const { runs } = report;
  world.stderr.write(gateText(gates));
  if (args.flag('json')) {
    world.stdout.write(jsonOutput(runs, costs, files!.report, gates));
  } else {
    const { report: path, page } = files!;
    world.stdout.write(`${reportTable(runs)}\n\n${timesText(runs, costs)}report: ${path}\npage: ${page}\n`);
  }
  return pass ? 0 : 2;
}

/** Shards lie in the folder where they will be merged. */
const outOf = ({ id, shard }: EvalPlan): string =>
  shard ? join('runs', id, `shard-${shard.index}-of-${shard.count}`) : join('runs', id);

/** The command of the whole: how many machines and processes there were is told by none. */
function commandOf(argv: readonly string[]): string {
  const apart = argv.filter(
    (word, i) => !/^--(shard|out)(=|$)/.test(word) && !/^--(shard|out)$/.test(argv[i - 1] ?? ''),
  );
  return commandLine('eval', apart);
}

/** What may be named, for --help. */
async function namesText(): Promise<string> {
  const methods = Object.values(await import('../../interventions/index.ts')).flatMap((one) =>
    'kind' in one ? [one.kind.name] : [],
  );
  const list = (title: string, names: readonly string[]) =>
    `${title}:\n${wrapped([...names].sort().join(', '), 100)}\n`;
  return `${list('Interventions', methods)}\n${list('Built-in tasks', [...builtinTasks.keys()])}`;
}

const wrapped = (text: string, width: number): string =>
  text.replace(new RegExp(`(.{1,${width}})(?: |$)`, 'g'), '  $1\n').trimEnd();

const timesText = (runs: readonly RunReport[], costs: readonly TimeCost[]): string =>
  runs
    .map(({ task, intervention, cost: { tokens, unsharedTokens } }, i) => {
      const { ms, overhead, reusedTokens, peakBytes } = costs[i]!;
      const compared = intervention !== baseline.label && Number.isFinite(overhead.value);
      const ratio = compared ? `, ${overhead.value.toFixed(2)}× the baseline’s` : '';
      const saved = unsharedTokens / tokens;
      const sharing = saved < 1.05 ? '' : `; ${saved.toFixed(1)}× fewer tokens than one pass for each choice`;
      const reused =
        reusedTokens === 0
          ? ''
          : `; ${reusedTokens.toLocaleString('en')} tokens taken over from other settings`;
      return `${task} ${intervention}: ${(ms / 1000).toFixed(1)} s in the model${ratio}${sharing}${reused}; ${Math.round(peakBytes / 2 ** 20)} MiB\n`;
    })
    .join('');

const dryRun = (plan: EvalPlan, out: string) => ({
  models: plan.models,
  settings: plan.settings.map(({ label }) => label),
  out,
  rows:
    plan.models.length * plan.settings.length * plan.tasks.reduce((sum, { items }) => sum + items.length, 0),
  tasks: describeTasks(plan).map((task, i) => ({ ...task, first: plan.tasks[i]!.items[0] })),
});

function dryRunText(plan: EvalPlan, out: string): string {
  const { models, settings, rows, tasks } = dryRun(plan, out);
  const listed = tasks.map(
    ({ name, items, records, bad, first }) =>
      `${name}: ${items} of ${records} items, ${bad.length} bad records; the first:\n${JSON.stringify(first, null, 2)}\n`,
  );
  return `${rows} rows to ${out}: models ${models.join(', ')}; settings ${settings.join(', ')}\n\n${listed.join('\n')}`;
}
