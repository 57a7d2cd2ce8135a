/**
 * Bounds that a run must meet, for continuous integration: "acc>=0.60", "copa/zerotuning: delta.acc>=-0.01@p95".
 *
 *   [task[/intervention]:] [delta.]metric (>= | <= | > | <) bound [@pNN]
 *
 * Without @ the measured value is compared. With @pNN the bound must hold with NN % confidence: for >= the one-sided
 * lower confidence limit is compared, for <= the upper one.
 */
import { AttuneError, nearest } from '../../errors.ts';
import { type MetricName, metrics } from '../metrics/index.ts';
import { compare, type MetricValue, measure } from './measure.ts';
import type { ReportOptions } from './report.ts';
import type { Row } from './row.ts';

export interface Gate {
  text: string;
  task: string | undefined;
  intervention: string | undefined;
  delta: boolean;
  metric: MetricName;
  comparison: '>=' | '<=' | '>' | '<';
  bound: number;
  /** Of the one-sided limit that is compared; undefined: the value itself is. */
  confidence: number | undefined;
}

/** A gate on one run. */
export interface GateCheck {
  /** The model's name. */
  model: string;
  /** The task's name. */
  task: string;
  /** The setting's label. */
  intervention: string;
  /** What was compared with the bound; null where a single unit gives no limit, which does not pass. */
  found: number | null;
  /** Whether the bound holds. */
  pass: boolean;
}

/** A gate, and every run it was checked on. */
export interface GateResult {
  /** The bound as it was written. */
  gate: string;
  /** Whether it holds on all of them. */
  pass: boolean;
  /** One for each run that it is about. */
  checks: GateCheck[];
}

const FORM =
  /^(?:(?<task>[a-z0-9_.-]+)(?:\/(?<intervention>[^:]+))?:)?\s*(?<delta>delta\.)?(?<metric>\w+)\s*(?<comparison>[<>]=?)\s*(?<bound>[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)(?:@p(?<percent>\d+(?:\.\d+)?))?$/;

/** @throws AttuneError GATE_INVALID */
export function parseGate(text: string): Gate {
  const groups = FORM.exec(text.trim())?.groups;
  const invalid = (found: string, expected: string, hint?: string) =>
    new AttuneError('GATE_INVALID', { at: '--gate', found, expected, hint });
  if (!groups) {
    throw invalid(`"${text}"`, '[task[/intervention]:] [delta.]metric (>= | <= | > | <) bound [@pNN]');
  }
  const { task, intervention, delta, metric, comparison, bound, percent } = groups as Record<
    string,
    string | undefined
  >;
  if (!(metric! in metrics)) {
    throw invalid(
      `the metric "${metric}"`,
      'a metric',
      `Nearest: ${nearest(metric!, Object.keys(metrics), 1)}`,
    );
  }
  const confidence = percent === undefined ? undefined : Number(percent) / 100;
  if (confidence !== undefined && !(confidence > 0.5 && confidence < 1)) {
    throw invalid(`@p${percent}`, 'a confidence above 50 and below 100 percent, such as @p95');
  }
  return {
    text: text.trim(),
    task,
    intervention: intervention?.trim(),
    delta: delta !== undefined,
    metric: metric as MetricName,
    comparison: comparison as Gate['comparison'],
    bound: Number(bound),
    confidence,
  };
}

/** What a gate looks at: `rows[i][j]` is item i under setting j, and differences are to setting 0. */
export interface GatedRows {
  model: string;
  task: { task: { name: string; metrics: readonly MetricName[] } };
  settings: readonly { label: string }[];
  rows: readonly Row[][];
}

/**
 * A gate holds for every run it speaks of; one on a difference, for every intervention.
 * @throws AttuneError GATE_UNMATCHED
 */
export function checkGate(gate: Gate, sets: readonly GatedRows[], options: ReportOptions): GateResult {
  refuseUnmatched(gate, sets);
  const checks = sets.flatMap(({ model, task, settings, rows }) => {
    const { name } = task.task;
    const column = (j: number) => rows.map((row) => row[j]!);
    return spokenOf(gate, { task, settings }).map((j): GateCheck => {
      const value = measured(gate, column(0), column(j), { ...options, name });
      const found = value === undefined ? null : limit(gate, value);
      return { model, task: name, intervention: settings[j]!.label, found, pass: holds(gate, found) };
    });
  });
  return { gate: gate.text, pass: checks.every(({ pass }) => pass), checks };
}

type Gated = Pick<GatedRows, 'task' | 'settings'>;

/** @throws AttuneError GATE_UNMATCHED when it speaks of no run, and would pass without a look. */
export function refuseUnmatched(gate: Gate, sets: readonly Gated[]): void {
  if (sets.some((set) => spokenOf(gate, set).length > 0)) return;
  const tasks = sets.map(({ task }) => `${task.task.name} (${task.task.metrics.join(', ')})`);
  const settings = sets.flatMap((set) => set.settings.map(({ label }) => label));
  throw new AttuneError('GATE_UNMATCHED', {
    at: '--gate',
    found: `"${gate.text}"`,
    expected: 'a metric, a task and an intervention of this run',
    hint: `Tasks: ${[...new Set(tasks)].join('; ')}. Settings: ${[...new Set(settings)].join(', ')}`,
  });
}

/** Indices of the settings that a gate speaks of. */
function spokenOf(gate: Gate, { task: { task }, settings }: Gated): number[] {
  if (!task.metrics.includes(gate.metric) || (gate.task ?? task.name) !== task.name) return [];
  return settings.flatMap(({ label }, j) =>
    (gate.intervention ?? label) === label && !(gate.delta && j === 0) ? [j] : [],
  );
}

function measured(
  { delta, metric, confidence }: Gate,
  before: readonly Row[],
  after: readonly Row[],
  { seed, resamples, name }: ReportOptions & { name: string },
): MetricValue | undefined {
  const level = confidence === undefined ? undefined : 2 * confidence - 1;
  const options = { seed: `${seed}/${name}/${metric}`, resamples, level };
  return delta
    ? compare(before, after, metric, options)
    : measure(
        after.filter(({ skipped }) => skipped === undefined),
        metric,
        options,
      );
}

const limit = ({ confidence, comparison }: Gate, { value, low, high }: MetricValue): number | null =>
  confidence === undefined ? value : comparison.startsWith('>') ? low : high;

function holds({ comparison, bound }: Gate, found: number | null): boolean {
  if (found === null) return false;
  switch (comparison) {
    case '>=':
      return found >= bound;
    case '<=':
      return found <= bound;
    case '>':
      return found > bound;
    case '<':
      return found < bound;
  }
}

/** One line for each check, for a terminal. */
export const gateText = (results: readonly GateResult[]): string =>
  results
    .flatMap(({ gate, checks }) =>
      checks.map(
        ({ model, task, intervention, found, pass }) =>
          `${pass ? 'pass' : 'FAIL'} ${gate}: ${model}, ${task}, ${intervention}: ${found === null ? 'no limit for a single unit' : Number(found.toPrecision(6))}\n`,
      ),
    )
    .join('');
