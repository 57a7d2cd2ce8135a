/**
 * What a task is: data that says where its records come from, how a record becomes text to score, and which metrics
 * hold. Words follow lm-evaluation-harness (output types, metrics, delimiter); templates are Jinja. The entries of all tasks
 * are in schema.ts, those of an output type in its file in ../outputs.
 */
import { z } from 'zod';
import { AttuneError } from '../../errors.ts';
import { outputRow, outputSchemas } from '../outputs/index.ts';

export const taskSchema = z.discriminatedUnion('output', outputSchemas);

/** What one entry asks of another. */
const checkedSchema = taskSchema.superRefine((task, context) => {
  const refuse = (path: string, message: string) =>
    context.addIssue({ code: 'custom', path: [path], message });
  const row = outputRow(task.output);
  row.check?.(task, refuse);
  if (task.image === undefined) return;
  if (task.shots !== undefined) refuse('shots', 'a prompt about a picture has no examples before it');
  const single = row.takesPicture && 'prompt' in task && typeof task.prompt === 'string';
  if (!single) refuse('image', 'a picture goes with one prompt that is one template');
});

/** A task with every default filled in. */
export type Task = z.output<typeof taskSchema>;
/**
 * A task as it is written: where its records come from, how one becomes text, which metrics hold. docs/tasks.md
 * explains every entry.
 */
export type TaskDefinition = z.input<typeof taskSchema>;

/** Those that `defineTask` has returned. */
const defined = new WeakSet<object>();

/**
 * A task from its definition, checked, with every default filled in.
 *
 * @param definition entries as docs/tasks.md explains them; what was returned from here is returned as it is
 * @param at what messages call the definition; default its name.
 * @throws AttuneError TASK_INVALID naming the entry and what was expected there.
 */
export function defineTask(definition: unknown, at?: string): Task {
  if (typeof definition === 'object' && definition !== null && defined.has(definition))
    return definition as Task;
  const parsed = checkedSchema.safeParse(definition);
  if (parsed.success) {
    defined.add(parsed.data);
    return parsed.data;
  }
  const name = (definition as { name?: unknown } | null | undefined)?.name;
  throw new AttuneError('TASK_INVALID', {
    at: at ?? (typeof name === 'string' ? `task ${name}` : 'a task'),
    found: z.prettifyError(parsed.error).replaceAll('\n', ' '),
    expected: 'a task definition',
    hint: 'docs/tasks.md shows one with every entry explained',
    cause: parsed.error,
  });
}
