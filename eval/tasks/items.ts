/** From a task to its items: read, render, check, sample. */
import { createHash } from 'node:crypto';
import { AttuneError, isAttuneError } from '../../errors.ts';
import type { DataFolder } from '../data/contained.ts';
import type { Reject } from '../data/lines.ts';
import { type DataRecord, readRecords } from '../data/records.ts';
import { worldName, worldRecords } from '../data/worlds.ts';
import type { Item } from '../outputs/index.ts';
import type { Task } from './definition.ts';
import { itemMaker } from './item-maker.ts';
import { type LocalTask, localTask } from './local-task.ts';
import { withShots } from './shots.ts';

export interface LoadOptions {
  /** Folder below which the source's relative paths lie. */
  root: string;
  /** Folder below which pictures lie; default `root`. */
  images?: string | undefined;
  /** Files and pictures outside these folders may be read too. Default false. */
  allowOutside?: boolean | undefined;
  /** Default: the task's own. A file has one split; a world and a data set of the Hub have several. */
  split?: string | undefined;
  /**
   * At most so many items: of a file a sample that depends on `seed` and the ids alone, in file order; of a world the first.
   */
  limit?: number | undefined;
  /** Of the sample, and of a world's items. Default 0. */
  seed?: number | undefined;
  /** Count bad records instead of stopping at the first. Default false. */
  skipBad?: boolean | undefined;
}

export interface LoadedItems {
  /** In the order of the source. */
  items: Item[];
  /** Their indices in the order of the sample: its first n are what a limit of n takes. */
  order: readonly number[];
  /** Records left out by `skipBad`. */
  bad: AttuneError[];
  /** Items that the good records of the source make, of which `items` may be a sample. */
  total: number;
  split: string;
}

/**
 * @throws AttuneError whatever reading throws, DATA_FIELD_MISSING, DATA_FIELD_TYPE, DATA_CHOICES, DATA_TARGET,
 *   DATA_SEGMENTS, DATA_DUPLICATE_ID, each with file and line; TASK_TEMPLATE; TASK_SPLIT; DATA_EMPTY when no good record is
 *   left; DATA_SHOTS; HUB_*.
 */
export async function loadItems(given: Task, options: LoadOptions): Promise<LoadedItems> {
  const { task, root = options.root } = await localTask(given, options.split);
  const { limit = Number.POSITIVE_INFINITY, seed = 0, skipBad = false, split = task.split } = options;
  const folder = (path: string): DataFolder => (options.allowOutside ? { path, outside: true } : path);
  const toItems = itemMaker(task, { root: folder(root), images: folder(options.images ?? root) });
  const places = new Map<string, string>();
  const items: Item[] = [];
  const bad: AttuneError[] = [];
  const reject = (error: AttuneError) => {
    if (!skipBad) throw error;
    bad.push(error);
  };
  for await (const record of recordsOf(task, { root: folder(root), split, seed, limit }, reject)) {
    try {
      for (const item of toItems(record)) {
        const first = places.get(item.id);
        if (first !== undefined) {
          throw new AttuneError('DATA_DUPLICATE_ID', {
            at: item.at,
            found: `the id "${item.id}", which ${first} has as well`,
            expected: 'a different id for each record',
          });
        }
        places.set(item.id, item.at);
        items.push(item);
      }
    } catch (error) {
      if (!isAttuneError(error) || error.code === 'TASK_TEMPLATE') throw error;
      reject(error);
    }
  }
  if (items.length === 0) {
    throw new AttuneError('DATA_EMPTY', {
      at: sourceNames(task, split, seed).join(', '),
      found: `${bad.length} bad records and no good one`,
      expected: 'at least one',
      cause: bad[0],
    });
  }
  const total = 'world' in task.source ? task.source.items : items.length;
  // Those of a world are random from the first to the last.
  const order = 'world' in task.source ? [...items.keys()] : sampleOrder(items, seed);
  const kept = order.slice(0, limit).sort((a, b) => a - b);
  const sampled = kept.map((index) => items[index]!);
  const place = new Map(kept.map((index, i) => [index, i]));
  return {
    items: task.shots === undefined ? sampled : withShots(sampled, items, task.shots, seed),
    order: order.slice(0, limit).map((index) => place.get(index)!),
    bad,
    total,
    split,
  };
}

/** The files of a task's source; for a world the name of the records. */
export function sourceNames({ source }: LocalTask, split: string, seed: number): string[] {
  return 'world' in source ? [worldName(source, split, seed)] : [source.file].flat();
}

function recordsOf(
  { name, source, split: own }: LocalTask,
  { root, split, limit, seed }: { root: DataFolder; split: string; limit: number; seed: number },
  reject: Reject,
): Iterable<DataRecord> | AsyncIterable<DataRecord> {
  if ('world' in source) return worldRecords(source, split, Math.min(source.items, limit), seed);
  if (split === own) return readRecords(source, root, reject);
  throw new AttuneError('TASK_SPLIT', {
    at: `task ${name}`,
    found: `the split "${split}"`,
    expected: `"${own}", which is what its file holds`,
    hint: 'Write a task for the file of the other split, or name that file with --data',
  });
}

/** Indices by the hash of the records' ids: any beginning of them is a random part, and variants stay together. */
function sampleOrder(items: readonly Item[], seed: number): number[] {
  const rank = (id: string) => createHash('sha256').update(`${seed}/${id}`).digest('hex');
  const ranked = items.map((item, index) => ({ index, rank: rank(item.record ?? item.id) }));
  ranked.sort((a, b) => (a.rank === b.rank ? a.index - b.index : a.rank < b.rank ? -1 : 1));
  return ranked.map(({ index }) => index);
}
