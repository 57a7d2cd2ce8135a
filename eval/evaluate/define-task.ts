/** A task of a program's own. */
import { defineTask as checked, type Task, type TaskDefinition } from '../tasks/definition.ts';

/**
 * A task from its definition, checked, with every default filled in.
 *
 * @example
 * const task = defineTask({
 *   name: 'reviews', output: 'multiple_choice', source: { file: 'reviews.csv' }, fields: { text: 'string', good: 'integer' },
 *   prompt: 'Review: {{ text }}', choices: ['bad', 'good'], target: '{{ good }}', metrics: ['acc'],
 * });
 * @param definition entries as docs/tasks.md explains them; relative files lie below `data`, else below the working directory
 * @throws AttuneError TASK_INVALID naming the entry and what was expected there
 */
export const defineTask = (definition: TaskDefinition | Task): Task => checked(definition);
