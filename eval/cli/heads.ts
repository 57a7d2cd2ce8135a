/** attune heads: statistics of every attention head, as tables, as a page of heat maps, or as JSON. */
import { basename, resolve } from 'node:path';
import type { HeadTable, StatisticGroup } from '../../calibration/index.ts';
import { AttuneError, isAttuneError, nearest } from '../../errors.ts';
import { type Progress, progress } from '../runner/progress.ts';
import { writeWhole } from '../write-whole.ts';
import { helpText, readArguments, type Usage } from './arguments.ts';
import { headsPage } from './heads-page.ts';
import { tableText } from './heads-text.ts';
import { MODEL_FLAGS, modelOptionsOf } from './model-flags.ts';

/** Those that need nothing but text come first and are the default. */
const GROUPS = [
  'sink',
  'entropy',
  'attention',
  'induction',
  'retrieval',
  'influence',
] as const satisfies StatisticGroup[];
const DEFAULT = 'sink,entropy,attention,induction';

const USAGE: Usage = {
  command: 'heads',
  summary: 'statistics of every attention head: sinks, entropy, what it looks at, copying, influence',
  flags: {
    model: { type: 'string', value: '<folder|id>', description: 'a decoder in Hub layout' },
    statistic: {
      type: 'string',
      value: '<list>',
      description: `of ${GROUPS.join(', ')}, or all; default ${DEFAULT}`,
    },
    task: {
      type: 'string',
      value: '<name|file>',
      description: 'take the prompts of a task; retrieval and influence are about its right answers',
    },
    data: {
      type: 'string',
      value: '<file|folder>',
      description: 'a text file; with --task as for attune eval. Default: random tokens',
    },
    split: { type: 'string', value: '<name>', description: 'of the worlds-… tasks; default calibration' },
    samples: { type: 'string', value: '<n>', description: 'sequences at most; default 100' },
    tokens: { type: 'string', value: '<T>', description: 'length of a sequence; default 64' },
    seed: { type: 'string', value: '<s>', description: 'of samples and random tokens; default 0' },
    ablation: {
      type: 'string',
      value: '<kind>',
      description: 'for influence: uniform rows (default) or zero output',
    },
    out: { type: 'string', value: '<file.html>', description: 'write a page of heat maps' },
    ...MODEL_FLAGS,
    json: { type: 'boolean', description: 'one JSON document on stdout: {layers, heads, statistics}' },
  },
  examples: [
    'attune heads --model models/Qwen2.5-0.5B-Instruct',
    'attune heads --model models/Qwen2.5-0.5B-Instruct --data novel.txt --statistic all --out heads.html',
    'attune heads --model models/tiny --task squad-like.task.json --statistic retrieval,influence --json',
  ],
};

export interface HeadsWorld {
  stdout: { write(text: string): unknown };
  stderr: { isTTY?: boolean; write(text: string): unknown };
}

/** @throws AttuneError ARGUMENT_*, STATISTIC_*, MODEL_*, DATA_*, TASK_*, RUN_WRITE */
export async function headsCommand(argv: readonly string[], world: HeadsWorld = process): Promise<number> {
  const args = readArguments(USAGE, argv);
  if (args.flag('help')) {
    world.stdout.write(helpText(USAGE));
    return 0;
  }
  const name = args.text('model');
  if (name === undefined) {
    throw new AttuneError('ARGUMENT_MISSING', {
      expected: '--model',
      hint: 'attune heads --help shows examples',
    });
  }
  const groups = groupsOf(args.text('statistic') ?? DEFAULT);
  const ablation = ablationOf(args.text('ablation'));
  const tokens = args.integer('tokens', 8) ?? 64;
  const options = {
    task: args.text('task'),
    data: args.text('data'),
    split: args.text('split'),
    samples: args.integer('samples', 1) ?? 100,
    seed: args.integer('seed') ?? 0,
    tokens,
  };

  // The library that runs models is large, and what is asked has been checked before it is loaded.
  const { loadCalibrationModel } = await import('./calibration-model.ts');
  const { headsData } = await import('./heads-data.ts');
  const { headStatistics } = await import('../../calibration/index.ts');
  await using loaded = await loadCalibrationModel(name, modelOptionsOf(args));
  const data = await headsData(loaded, options);
  const { facts } = loaded.model.attune;
  const statistics: Record<string, HeadTable> = {};
  const show = shownBy(world, name);
  for (const together of apart(groups)) {
    try {
      const measured = await headStatistics(facts, together, data, {
        session: loaded.session,
        onProgress: show,
        ...(ablation && { ablation }),
      });
      Object.assign(statistics, measured);
    } catch (error) {
      // Of all, those that the data allows.
      if (args.text('statistic') !== 'all' || !isAttuneError(error, 'STATISTIC_NO_DATA')) throw error;
      world.stderr.write(`left out: ${error.message}\n`);
    }
  }
  const layers = facts.decoder.length;
  const heads = Math.max(...facts.decoder.map(({ numHeads }) => numHeads));
  const tables = Object.entries(statistics).map(([statistic, rows]) => ({ name: statistic, rows }));
  const about = `${layers} layers of ${heads} heads; ${data.source}, ${data.sequences.length} sequences of ${tokens} tokens, seed ${options.seed}`;
  const out = args.text('out');
  if (out !== undefined) writeWhole(out, headsPage({ title: basename(resolve(name)), about, tables }));
  if (args.flag('json')) {
    world.stdout.write(`${JSON.stringify({ layers, heads, statistics })}\n`);
    return 0;
  }
  const page = out === undefined ? '' : `page: ${out}\n`;
  world.stdout.write(`${about}\n\n${tables.map((table) => `${tableText(table)}\n`).join('')}${page}`);
  return 0;
}

/** @throws AttuneError STATISTIC_UNKNOWN */
function groupsOf(text: string): StatisticGroup[] {
  if (text === 'all') return [...GROUPS];
  const asked = text.split(',').map((word) => word.trim());
  const unknown = asked.find((word) => !(GROUPS as readonly string[]).includes(word));
  if (unknown === undefined) return GROUPS.filter((group) => asked.includes(group));
  throw new AttuneError('STATISTIC_UNKNOWN', {
    at: '--statistic',
    found: `"${unknown}"`,
    expected: `${GROUPS.join(', ')} or all`,
    hint: `Nearest: ${nearest(unknown, GROUPS, 1)[0]}.`,
  });
}

/** What is read off the same maps is measured together, the rest one by one. */
function apart(groups: readonly StatisticGroup[]): StatisticGroup[][] {
  const maps = groups.filter((group) => ['sink', 'entropy', 'attention'].includes(group));
  const others = groups.filter((group) => !maps.includes(group)).map((group) => [group]);
  return maps.length > 0 ? [maps, ...others] : others;
}

function ablationOf(text: string | undefined): 'uniform' | 'zero' | undefined {
  if (text === undefined || text === 'uniform' || text === 'zero') return text;
  throw new AttuneError('ARGUMENT_INVALID', {
    at: '--ablation',
    found: `"${text}"`,
    expected: 'uniform or zero',
  });
}

type Shown = (progress: { done: number; total: number; step: string }) => void;

function shownBy({ stderr }: HeadsWorld, model: string): Shown {
  let current: { step: string; bar: Progress; done: number } | undefined;
  return ({ step, done, total }) => {
    if (current?.step !== step || done < current.done) {
      current?.bar.end();
      current = { step, done: 0, bar: progress({ label: `${model} ${step}`, total, stream: stderr }) };
    }
    for (; current.done < done; current.done++) current.bar.step();
    if (done === total) current.bar.end();
  };
}
