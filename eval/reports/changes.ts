/** Items whose outcome an intervention changed, with their text: what an average hides. */

import { type MetricName, metrics } from '../metrics/index.ts';
import type { Item } from '../outputs/index.ts';
import type { Row } from '../runner/row.ts';
import type { TaskRows } from '../runner/run.ts';

export interface Change {
  item: Item;
  before: Row;
  after: Row;
}

export interface Changes {
  model: string;
  task: string;
  intervention: string;
  /** The metric that says what is better: the task's first. */
  metric: MetricName;
  /** For proportions: from wrong to right; otherwise better by most. All of them, the first shown first. */
  gained: Change[];
  lost: Change[];
}

/** One entry for each intervention on the task. */
export function changesOf({ model, task, settings, rows }: TaskRows): Changes[] {
  const metric = task.task.metrics[0] as MetricName;
  const { better } = metrics[metric];
  return settings.slice(1).map(({ label }, k) => {
    const gains = rows.flatMap((row, i) => {
      const [before, after] = [row[0]!, row[k + 1]!];
      const [from, to] = [before.terms[metric], after.terms[metric]];
      if (!from || !to) return [];
      const gain = (to[0] / to[1] - from[0] / from[1]) * (better === 'higher' ? 1 : -1);
      return [{ gain, change: { item: task.items[i]!, before, after } }];
    });
    const side = (sign: 1 | -1) =>
      gains
        .filter(({ gain }) => gain * sign > 0)
        .sort((a, b) => (b.gain - a.gain) * sign)
        .map(({ change }) => change);
    return { model, task: task.task.name, intervention: label, metric, gained: side(1), lost: side(-1) };
  });
}
