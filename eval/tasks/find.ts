/** A task by name or by file. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, extname, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { AttuneError, nearest } from '../../errors.ts';
import { builtinTasks } from './builtin/index.ts';
import { defineTask, type Task, type TaskDefinition } from './definition.ts';

export interface FoundTask {
  task: Task;
  /** Folder of the file that defines it, the working directory for a definition; absent for a built-in task. */
  folder?: string;
}

/**
 * @param nameOrFile a built-in task's name, or a .json file, or a module whose default export is a definition (.mjs, .js,
 *   and .ts where the process can import it); or a definition itself
 * @throws AttuneError TASK_UNKNOWN, TASK_FILE, TASK_INVALID.
 */
export async function findTask(nameOrFile: string | TaskDefinition | Task): Promise<FoundTask> {
  if (typeof nameOrFile !== 'string') return { task: defineTask(nameOrFile), folder: '.' };
  const builtin = builtinTasks.get(nameOrFile);
  if (builtin) return { task: builtin };
  const path = resolve(nameOrFile);
  if (!existsSync(path)) {
    throw new AttuneError('TASK_UNKNOWN', {
      found: `"${nameOrFile}"`,
      expected: 'a task file or a built-in task',
      hint: `Nearest: ${nearest(nameOrFile, builtinTasks.keys()).join(', ')}`,
    });
  }
  return { task: defineTask(await definitionIn(path, nameOrFile), nameOrFile), folder: dirname(path) };
}

async function definitionIn(path: string, name: string): Promise<unknown> {
  try {
    if (extname(path) === '.json') return JSON.parse(readFileSync(path, 'utf8'));
    const module = (await import(pathToFileURL(path).href)) as { default?: unknown };
    return module.default;
  } catch (cause) {
    throw new AttuneError('TASK_FILE', {
      at: name,
      found: cause instanceof Error ? cause.message : String(cause),
      expected: 'a .json file, or a module with a task definition as its default export',
      cause,
    });
  }
}
