/** A task whose source is on this machine: tasks of the Hub have their files fetched first. */
import { hubFiles } from '../data/hub.ts';
import { type Source, sourceSchema } from '../data/source.ts';
import type { WorldSource } from '../data/worlds.ts';
import type { Task } from './definition.ts';

export type LocalTask = Task & { source: Source | WorldSource };

export interface Localised {
  task: LocalTask;
  /** Folder below which the files lie, where they were fetched. */
  root?: string;
  /** What a file is called where people read of it. */
  nameOf(file: string): string;
}

/** @throws AttuneError HUB_* */
export async function localTask(task: Task, split = task.split): Promise<Localised> {
  const { source } = task;
  if (!('hub' in source)) return { task: task as LocalTask, nameOf: (file) => file };
  const { root, files, revision } = await hubFiles(source, split);
  const local = sourceSchema.parse({ file: files, format: 'parquet', others: source.others });
  return {
    task: { ...task, split, source: local },
    root,
    nameOf: (file) => `hub:${source.hub}@${revision.slice(0, 12)}/${file}`,
  };
}
