/**
 * Solved examples before the prompt, as lm-evaluation-harness lays them out: prompt, right answer and an empty line, n times,
 * then the prompt that is scored. Each item draws its own from the other items of its slice (of the task, without slices);
 * the draw depends on the seed and the item's id alone.
 */
import { AttuneError } from '../../errors.ts';
import { type Item, outputRow } from '../outputs/index.ts';
import { shotsText } from '../scoring/chat.ts';
import { uniformIntegers } from '../statistics/random.ts';
import type { Example } from './item.ts';

/**
 * @param items those that get examples, out of `all`.
 * @throws AttuneError DATA_SHOTS where a slice has too few items.
 */
export function withShots(items: readonly Item[], all: readonly Item[], n: number, seed: number): Item[] {
  const pools = new Map<string | undefined, Item[]>();
  for (const item of all) {
    const pool = pools.get(item.slice);
    if (pool) pool.push(item);
    else pools.set(item.slice, [item]);
  }
  return items.map((item) => {
    const pool = pools.get(item.slice)!;
    refuseTooFew(item, pool, n);
    const index = uniformIntegers(`${seed}/${item.id}/shots`);
    const chosen = new Set<Item>();
    while (chosen.size < n) {
      const one = pool[index(pool.length)]!;
      if (!sameRecord(one, item)) chosen.add(one);
    }
    return prepended(item, [...chosen].map(solved));
  });
}

/** Counting stops where there are enough. */
function refuseTooFew(item: Item, pool: readonly Item[], n: number): void {
  let others = 0;
  for (const one of pool) {
    if (!sameRecord(one, item)) others += 1;
    if (others === n) return;
  }
  throw new AttuneError('DATA_SHOTS', {
    at: item.at,
    found: `${others} other items${item.slice === undefined ? '' : ` of the slice ${item.slice}`}`,
    expected: `at least the ${n} examples that the task asks for`,
  });
}

/** Variants of one record would give its answer away. */
const sameRecord = (a: Item, b: Item): boolean =>
  a.id === b.id || (a.record !== undefined && a.record === b.record);

function solved(item: Item): Example {
  const { context, continuation } = outputRow(item.output).answered!(item);
  return { context, continuation };
}

function prepended(item: Item, shots: readonly Example[]): Item {
  const examples = shotsText(shots);
  const changed = outputRow(item.output).withPrompts(item, (prompt) => ({
    ...prompt,
    context: examples + prompt.context,
    ...(prompt.segments && { segments: { ...prompt.segments, prefix: examples + prompt.segments.prefix } }),
  }));
  return { ...changed, shots };
}
