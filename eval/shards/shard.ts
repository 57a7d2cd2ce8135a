/** One part of n of a run's items, as test runners split their tests: the same items on every machine, clusters whole. */
import { AttuneError } from '../../errors.ts';
import type { PlannedTask } from '../evaluate/planned-task.ts';
import type { Item } from '../outputs/index.ts';
import { contentHash } from '../runner/content-hash.ts';
import { itemHash } from '../runner/row.ts';
import type { LoadedItems } from '../tasks/items.ts';

export interface Shard {
  /** From 1. */
  readonly index: number;
  readonly count: number;
}

/** @param text such as 2/8 @throws AttuneError ARGUMENT_INVALID */
export function parseShard(text: string): Shard {
  const [, index, count] = /^(\d{1,6})\/(\d{1,6})$/.exec(text) ?? [];
  const shard = { index: Number(index), count: Number(count) };
  if (shard.index >= 1 && shard.index <= shard.count) return shard;
  throw new AttuneError('ARGUMENT_INVALID', {
    at: '--shard',
    found: text,
    expected: 'part/parts, counted from 1, such as 2/8',
  });
}

export const shardText = ({ index, count }: Shard): string => `${index}/${count}`;

/** From 1. Items of a cluster are in one shard; otherwise it depends on the item's text alone. */
export function shardOf(task: string, item: Item, count: number): number {
  const unit = item.cluster === undefined ? itemHash(item) : `cluster ${item.cluster}`;
  return 1 + (Number.parseInt(contentHash([task, unit]).slice(0, 12), 16) % count);
}

/** The tasks with the items of this shard; those without any are left out. */
export function tasksOfShard(tasks: readonly PlannedTask[], { index, count }: Shard): PlannedTask[] {
  return tasks
    .map((task) => withItems(task, (item) => shardOf(task.task.name, item, count) === index))
    .filter(({ items }) => items.length > 0);
}

/** The items of which this holds, in the order that they were in. */
export function withItems<T extends LoadedItems>(task: T, holds: (item: Item) => boolean): T {
  const kept = [...task.items.keys()].filter((index) => holds(task.items[index]!));
  const place = new Map(kept.map((index, now) => [index, now]));
  return {
    ...task,
    items: kept.map((index) => task.items[index]!),
    order: task.order.flatMap((index) => place.get(index) ?? []),
  };
}
