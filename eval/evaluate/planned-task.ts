/** A task with its items and the hashes of what they were made from. */
import { existsSync, statSync } from 'node:fs';
import { basename, dirname, isAbsolute, join, resolve } from 'node:path';
import { AttuneError } from '../../errors.ts';
import { sourceSchema } from '../data/source.ts';
import { contentHash, fileHash } from '../runner/content-hash.ts';
import type { RunTask } from '../runner/run.ts';
import type { Task, TaskDefinition } from '../tasks/definition.ts';
import { findTask } from '../tasks/find.ts';
import { type LoadOptions, loadItems, sourceNames } from '../tasks/items.ts';
import { localTask } from '../tasks/local-task.ts';

export interface PlannedTask extends RunTask {
  files: { file: string; sha256: string }[];
}

/**
 * @param given a name, a file or a definition
 * @param data folder of the task's files, or a file in their place
 * @throws AttuneError TASK_*, DATA_*
 */
export async function planTask(
  given: string | TaskDefinition | Task,
  data: string | undefined,
  options: Omit<LoadOptions, 'root' | 'seed'> & { seed: number },
): Promise<PlannedTask> {
  const found = await findTask(given);
  const file = data !== undefined && existsSync(data) && statSync(data).isFile() ? data : undefined;
  const own = file === undefined ? found.task : withFile(found.task, basename(file));
  const { task, root: fetched, nameOf } = await localTask(own, options.split);
  if ('world' in task.source) {
    const loaded = await loadItems(task, { root: '', ...options });
    const [name] = sourceNames(task, loaded.split, options.seed) as [string];
    return { task, ...loaded, files: [{ file: name, sha256: contentHash(loaded.items) }] };
  }
  const root = fetched ?? (file ? dirname(resolve(file)) : dataFolder(data, found.folder));
  const loaded = await loadItems(task, { root, ...options });
  const files = await Promise.all(
    sourceNames(task, loaded.split, options.seed).map(async (name) => ({
      file: nameOf(name),
      sha256: await fileHash(isAbsolute(name) ? name : join(root, name)),
    })),
  );
  return { task, ...loaded, files };
}

/** The task on a file of the user's, in place of its own files or of those on the Hub. */
function withFile(task: Task, file: string): Task {
  const { source } = task;
  if ('world' in source) return task;
  if ('hub' in source) return { ...task, source: sourceSchema.parse({ file, others: source.others }) };
  return { ...task, source: { ...source, file } };
}

function dataFolder(data: string | undefined, taskFolder: string | undefined): string {
  const candidates =
    data !== undefined ? [data] : [taskFolder, process.env.ATTUNE_DATA, 'data', '../shared/data'];
  const folder = candidates.find((candidate) => candidate !== undefined && existsSync(candidate));
  if (folder !== undefined) return folder;
  throw new AttuneError('DATA_FOLDER', {
    found: data === undefined ? 'no data folder' : `no folder or file ${data}`,
    expected: 'the folder that holds the data sets',
    hint: 'Name it with --data',
  });
}
