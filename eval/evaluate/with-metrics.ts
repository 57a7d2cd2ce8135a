/** More metrics on a task than its own. */
import { AttuneError } from '../../errors.ts';
import { outputRow } from '../outputs/index.ts';
import type { Task } from '../tasks/definition.ts';

/** @throws AttuneError ARGUMENT_INVALID for one that the task's output type has not, or that the task lacks an entry for */
export function withMetrics(task: Task, names: readonly string[]): Task {
  const { schema, check } = outputRow(task.output);
  const possible = schema.shape.metrics.def.element.options as readonly string[];
  const refuse = (found: string, expected: string) => {
    throw new AttuneError('ARGUMENT_INVALID', { at: `--metric, task ${task.name}`, found, expected });
  };
  for (const name of names) if (!possible.includes(name)) refuse(name, possible.join(', '));
  const more = { ...task, metrics: [...new Set([...task.metrics, ...names])] } as Task;
  if (names.length > 0) check?.(more as never, (_, message) => refuse(names.join(', '), message));
  return more;
}
