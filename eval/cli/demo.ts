/** attune demo: the core methods against the baseline, on the models that the repository has. No network, no data. */
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, relative } from 'node:path';
import { type Profile, readProfile } from '../../calibration/index.ts';
import { AttuneError } from '../../errors.ts';
import { documentOf } from '../evaluate/document.ts';
import { type PlanToRun, runPlans, type ScoringWorld } from '../evaluate/run-plans.ts';
import { writeReports } from '../evaluate/write-reports.ts';
import { contentHash } from '../runner/content-hash.ts';
import { costsOf } from '../runner/costs.ts';
import { reportRuns } from '../runner/report.ts';
import { baseline, type Setting, settingOf } from '../runner/setting.ts';
import { findTask } from '../tasks/find.ts';
import { loadItems, sourceNames } from '../tasks/items.ts';
import { localTask } from '../tasks/local-task.ts';
import { helpText, readArguments, type Usage } from './arguments.ts';
import { type DemoStage, STAGES } from './demo-stages.ts';
import { demoText } from './demo-text.ts';
import { WORLD } from './eval.ts';
import { commandLine, jsonOutput } from './eval-output.ts';
import { interruptible } from './interrupt.ts';
import { paintFor } from './paint.ts';
import { shippedModel } from './shipped.ts';

const USAGE: Usage = {
  command: 'demo',
  summary: 'the core methods against the baseline, on the two models of the repository',
  flags: {
    out: { type: 'string', value: '<folder>', description: 'rows and report; default runs/demo' },
    limit: { type: 'string', value: '<n>', description: 'at most n items of each task' },
    workers: {
      type: 'string',
      value: '<n>',
      description: 'processes; default 2, or 1 on a machine with one core',
    },
    seed: { type: 'string', value: '<s>', description: 'of the items and the bootstrap; default 0' },
    json: { type: 'boolean', description: 'one JSON document on stdout' },
  },
  examples: ['attune demo', 'attune demo --limit 60 --out runs/quick', 'attune demo --json > demo.json'],
};

export interface DemoWorld extends ScoringWorld {
  readIntervention: typeof WORLD.readIntervention;
  stdout: { isTTY?: boolean; write(text: string): unknown };
}

/** Run again it shows what it kept; --out takes it elsewhere. @throws AttuneError ARGUMENT_*, CHECKOUT_NEEDED, RUN_* */
export async function demoCommand(
  argv: readonly string[],
  world: DemoWorld = WORLD,
  stages = STAGES,
): Promise<number> {
  const args = readArguments(USAGE, argv);
  if (args.flag('help')) {
    world.stdout.write(helpText(USAGE));
    return 0;
  }
  const begin = performance.now();
  const seed = args.integer('seed') ?? 0;
  const limit = args.integer('limit', 1) ?? Number.POSITIVE_INFINITY;
  const workers = args.integer('workers', 1) ?? Math.min(2, availableParallelism());
  const out = args.text('out') ?? join('runs', 'demo');
  const plans: PlanToRun[] = [];
  for (const stage of stages) plans.push({ ...(await stagePlan(stage, { seed, limit }, world)), workers });

  const { sets, ...ran } = await interruptible((signal) => runPlans(plans, out, { ...world, signal }));
  const options = { seed, resamples: 10_000 };
  const runs = sets.flatMap((set) => reportRuns(set, options));
  const costs = sets.flatMap((set) => costsOf(set, seed));
  const documented = { limit: undefined, sampleIds: [], skipBad: false, modelOptions: {}, ...options };
  const document = documentOf({ tasks: plans.flatMap(({ tasks }) => tasks), ...documented }, ran, runs);
  const { report, page } = writeReports(out, {
    document,
    costs,
    gates: [],
    sets,
    command: commandLine('demo', argv),
  });
  if (args.flag('json')) {
    world.stdout.write(jsonOutput(runs, costs, report));
    return 0;
  }
  const timed = runs.map((run, i) => ({ run, cost: costs[i]! }));
  const seconds = ((performance.now() - begin) / 1000).toFixed(0);
  world.stdout.write(
    `\n${demoText(stages, timed, paintFor(world.stdout))}\n\n${NOTE}\n${smallerFiles(stages)}${seconds} s. Everything with intervals, curves and the items that changed: ${page}\n`,
  );
  return 0;
}

/** What runs in another number type than float32. */
const smallerFiles = (stages: readonly DemoStage[]): string =>
  [...new Set(stages.map(({ model }) => model))]
    .filter((model) => shippedModel(model).dtype !== 'fp32')
    .map(
      (model) =>
        `${model}: decoder in 4 bits (${shippedModel(model).dtype}), the file that the package has.\n`,
    )
    .join('');

/** Prompts of each task. */
const HEAD_MAPS = 4;

const NOTE =
  'Percent; brackets are 95 % intervals, differences are paired on the same items, p is Holm-corrected over the methods of a task.';

async function stagePlan(
  { model, tasks, methods }: DemoStage,
  { seed, limit }: { seed: number; limit: number },
  { readIntervention }: DemoWorld,
): Promise<Omit<PlanToRun, 'workers'>> {
  const { folder, dtype, profile: profilePath } = shippedModel(model);
  if (!existsSync(folder)) {
    throw new AttuneError('CHECKOUT_NEEDED', {
      at: folder,
      found: 'no such folder',
      expected: 'the models of the repository',
      hint: 'Run npm run demo in a checkout',
    });
  }
  const settings: Setting[] = [baseline];
  const profiles: Profile[] = [];
  for (const { intervention, profile: name } of methods) {
    const profile = name === undefined ? undefined : await readProfile(profilePath(name));
    const specifications = profile?.interventions ?? [{ intervention }];
    settings.push(settingOf(intervention, await Promise.all(specifications.map(readIntervention))));
    if (profile) profiles.push(profile);
  }
  const planned: PlanToRun['tasks'] = await Promise.all(
    tasks.map(async (one) => {
      const { task } = await localTask((await findTask(one.task)).task);
      const loaded = await loadItems(task, { root: '', seed, limit: Math.min(limit, one.limit) });
      const [file] = sourceNames(task, loaded.split, seed) as [string];
      return { task, ...loaded, files: [{ file, sha256: contentHash(loaded.items) }] };
    }),
  );
  return {
    models: [relative(process.cwd(), folder)],
    modelOptions: dtype === 'fp32' ? {} : { dtype },
    tasks: planned,
    settings,
    profiles,
    threads: undefined,
    mapped: planned.flatMap(({ items }) => items.slice(0, HEAD_MAPS)),
    skipBad: false,
  };
}
