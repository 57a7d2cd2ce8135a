/** attune compare: two runs on the items they share, paired; of attune eval or of other tools. */
import { AttuneError } from '../../errors.ts';
import { readRun } from '../logs/read-run.ts';
import type { MetricName } from '../metrics/index.ts';
import { number, probability, range, signed } from '../reports/numbers.ts';
import { layout } from '../reports/table.ts';
import { checkGate, gateText, parseGate } from '../runner/gate.ts';
import { compare, type MetricDelta, type MetricValue, measure } from '../runner/measure.ts';
import { pairRuns, type RunPair } from '../runner/pair-runs.ts';
import { adjust, entries } from '../runner/report.ts';
import { helpText, readArguments, type Usage } from './arguments.ts';

const USAGE: Usage = {
  command: 'compare',
  summary:
    'two runs on the items they share, paired: of attune eval, of lm-evaluation-harness (--log_samples) or of Inspect (JSON logs)',
  positionals: '<runA> <runB>',
  flags: {
    a: {
      type: 'string',
      value: '<setting>',
      description: 'of run A; default: every setting against its equal in B',
    },
    b: { type: 'string', value: '<setting>', description: 'of run B; default that of --a' },
    gate: {
      type: 'string',
      value: '<bound>',
      multiple: true,
      description: 'exit code 2 unless "[task:] [delta.]metric>=bound[@pNN]" holds for run B; repeatable',
    },
    seed: { type: 'string', value: '<s>', description: 'of the bootstrap; default 0' },
    resamples: { type: 'string', value: '<n>', description: 'of the bootstrap; default 10000' },
    json: { type: 'boolean', description: 'one JSON document on stdout' },
  },
  examples: [
    'attune compare runs/q8 runs/fp32',
    'attune compare runs/main runs/branch --gate "delta.acc>=-0.01@p95"',
    'attune compare runs/all runs/all --a zerotuning --b temp-scale',
    'attune compare harness/model-a harness/model-b   # lm_eval … --output_path harness --log_samples',
    'attune compare logs/a.json logs/b.json           # inspect eval … --log-format json',
  ],
};

interface ComparedPair extends Omit<RunPair, 'rows' | 'metrics'> {
  n: number;
  metrics: Partial<Record<MetricName, { a: MetricValue; b: MetricValue; delta: MetricDelta }>>;
}

export interface CompareWorld {
  stdout: { write(text: string): unknown };
  stderr: { write(text: string): unknown };
}

/** Differences are B − A. @throws AttuneError ARGUMENT_*, GATE_*, RUN_MISSING, JOURNAL_MALFORMED, LOG_*, RUN_PAIRS */
export async function compareCommand(
  argv: readonly string[],
  world: CompareWorld = process,
): Promise<number> {
  const args = readArguments(USAGE, argv);
  if (args.flag('help')) {
    world.stdout.write(helpText(USAGE));
    return 0;
  }
  if (args.positionals.length !== 2) {
    throw new AttuneError('ARGUMENT_MISSING', {
      found: `${args.positionals.length} folders`,
      expected: 'two: the folders that were --out of the two runs',
    });
  }
  const [a, b] = args.positionals as [string, string];
  const gates = args.list('gate').map(parseGate);
  const options = { seed: args.integer('seed') ?? 0, resamples: args.integer('resamples', 100) ?? 10_000 };
  const [runA, runB] = [await readRun(a), await readRun(b)];
  const leftOut = [...new Set([...runA.leftOut, ...runB.leftOut])];
  if (leftOut.length > 0)
    world.stderr.write(`not compared, since attune has no such metric: ${leftOut.join(', ')}\n`);
  const pairs = pairRuns(runA.rows, runB.rows, { a: args.text('a'), b: args.text('b') });
  const comparisons = pairs.map((pair) => comparisonOf(pair, options));
  correct(comparisons);
  const sets = pairs.map((pair) => ({
    model: pair.b.model,
    task: { task: { name: pair.task, metrics: pair.metrics } },
    settings: [{ label: `A ${pair.a.setting}` }, { label: pair.b.setting }],
    rows: pair.rows,
  }));
  const results = gates.map((gate) => checkGate(gate, sets, options));
  world.stderr.write(gateText(results));
  world.stdout.write(
    args.flag('json')
      ? `${JSON.stringify({ a, b, comparisons, ...(results.length > 0 && { gates: results }) })}\n`
      : `${tableOf(comparisons)}\n`,
  );
  return results.every(({ pass }) => pass) ? 0 : 2;
}

function comparisonOf(
  { rows, metrics, ...pair }: RunPair,
  { seed, resamples }: { seed: number; resamples: number },
): ComparedPair {
  const before = rows.map(([row]) => row);
  const after = rows.map(([, row]) => row);
  return {
    ...pair,
    n: rows.length,
    metrics: entries(metrics, (metric) => {
      const own = { seed: `${seed}/${pair.task}/${metric}`, resamples };
      const a = measure(before, metric, own);
      const b = measure(after, metric, own);
      const delta = compare(before, after, metric, own);
      return a && b && delta && { a, b, delta };
    }),
  };
}

/** The settings of one task and metric are read together. */
function correct(comparisons: readonly ComparedPair[]): void {
  for (const task of new Set(comparisons.map((comparison) => comparison.task))) {
    const own = comparisons.filter((comparison) => comparison.task === task);
    for (const metric of new Set(own.flatMap(({ metrics }) => Object.keys(metrics) as MetricName[]))) {
      adjust(own.map(({ metrics }) => metrics[metric]?.delta));
    }
  }
}

function tableOf(comparisons: readonly ComparedPair[]): string {
  const header = ['task', 'A', 'B', 'metric', 'n', 'only A', 'only B', 'value A', 'value B'];
  const models = comparisons.some(({ a, b }) => a.model !== b.model);
  const name = ({ model, setting }: ComparedPair['a']) => (models ? `${model}, ${setting}` : setting);
  const lines = comparisons.flatMap(({ task, a, b, n, onlyA, onlyB, metrics }) =>
    Object.entries(metrics).map(([metric, { a: from, b: to, delta }]) => [
      task,
      name(a),
      name(b),
      metric,
      `${n}`,
      `${onlyA}`,
      `${onlyB}`,
      `${number(metric, from.value)} [${range(metric, from)}]`,
      `${number(metric, to.value)} [${range(metric, to)}]`,
      `${signed(metric, delta.value)} [${range(metric, delta, signed)}]`,
      probability(delta.p),
      probability(delta.pHolm),
      delta.gained === undefined ? '' : `${delta.gained} / ${delta.lost}`,
    ]),
  );
  return layout([[...header, 'B − A', 'p', 'p (Holm)', 'gained / lost'], ...lines]);
}
