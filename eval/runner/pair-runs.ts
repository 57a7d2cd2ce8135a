/** Two runs side by side: which rows of one answer the same questions as which rows of the other. */
import { AttuneError } from '../../errors.ts';
import { type MetricName, metrics } from '../metrics/index.ts';
import type { Row } from './row.ts';

/** One model on one task under one setting. */
interface Group {
  model: string;
  task: string;
  setting: string;
  specHash: string;
  rows: Row[];
}

export interface RunPair {
  task: string;
  metrics: readonly MetricName[];
  a: Omit<Group, 'rows' | 'task'>;
  b: Omit<Group, 'rows' | 'task'>;
  /** The same items under a and b. */
  rows: [Row, Row][];
  /** Items that the other side has not. */
  onlyA: number;
  onlyB: number;
}

export interface PairOptions {
  /** Settings to compare; default: each with its equal. */
  a?: string | undefined;
  b?: string | undefined;
}

/**
 * Settings are equal when their specifications are, items when their text is. Models are equal by name, and where each
 * run has one, these are compared whatever their names.
 * @throws AttuneError RUN_PAIRS when nothing fits together.
 */
export function pairRuns(a: readonly Row[], b: readonly Row[], options: PairOptions = {}): RunPair[] {
  const [groupsA, groupsB] = [groupsOf(a), groupsOf(b)];
  const models = (groups: readonly Group[]) => new Set(groups.map(({ model }) => model));
  const anyModel = models(groupsA).size === 1 && models(groupsB).size === 1;
  const named = options.a !== undefined || options.b !== undefined;
  const fits = (left: Group, right: Group) =>
    left.task === right.task &&
    (anyModel || left.model === right.model) &&
    (named
      ? left.setting === (options.a ?? options.b) && right.setting === (options.b ?? options.a)
      : left.specHash === right.specHash);
  const pairs = groupsA.flatMap((left) =>
    groupsB.filter((right) => fits(left, right)).map((right) => pairOf(left, right)),
  );
  const shared = pairs.filter(({ rows }) => rows.length > 0);
  if (shared.length > 0) return shared;
  const list = (groups: readonly Group[]) =>
    [...new Set(groups.map(({ model, task, setting }) => `${model}, ${task}, ${setting}`))].join('; ');
  throw new AttuneError('RUN_PAIRS', {
    found: `${list(groupsA)} against ${list(groupsB)}`,
    expected: 'a task with items in common under settings that are equal or named with --a and --b',
  });
}

function pairOf({ rows: left, ...a }: Group, { rows: right, ...b }: Group): RunPair {
  const byContent = new Map(right.map((row) => [row.content, row]));
  const rows = left.flatMap((row): [Row, Row][] => {
    const other = byContent.get(row.content);
    return other ? [[row, other]] : [];
  });
  const names = new Set(rows.flat().flatMap(({ terms }) => Object.keys(terms)));
  return {
    task: a.task,
    metrics: (Object.keys(metrics) as MetricName[]).filter((metric) => names.has(metric)),
    a,
    b,
    rows,
    onlyA: left.length - rows.length,
    onlyB: right.length - rows.length,
  };
}

function groupsOf(rows: readonly Row[]): Group[] {
  const groups = new Map<string, Group>();
  for (const row of rows) {
    const { model, task, setting, specHash } = row;
    const key = JSON.stringify([model, task, setting, specHash]);
    const group = groups.get(key);
    if (group) group.rows.push(row);
    else groups.set(key, { model, task, setting, specHash, rows: [row] });
  }
  return [...groups.values()];
}
