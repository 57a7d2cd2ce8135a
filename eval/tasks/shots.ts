/**
 * Solved examples before the prompt, as lm-evaluation-harness lays them out: prompt, right answer and an empty line, n times,
 * then the prompt that is scored. Each item draws its own from the other items of its slice (of the task, without slices);
 * the draw depends on the seed and the item's id alone.
 */
import { AttuneError } from '../../errors.ts';
import { uniformIntegers } from '../statistics/random.ts';
import type { Item, Segments } from './item.ts';

const SEPARATOR = '\n\n';

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
    return prepended(item, [...chosen].map((one) => solved(one) + SEPARATOR).join(''));
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

function solved(item: Item): string {
  switch (item.output) {
    case 'multiple_choice': {
      const { context, continuation } = item.options[item.gold]!;
      return context + continuation;
    }
    case 'loglikelihood':
      return item.context + item.continuation;
    case 'generate_until':
      return `${item.context} ${item.answers[0]}`;
    case 'yes_no':
      return `${item.context} ${item.label ? 'yes' : 'no'}`;
    case 'caption':
      return item.context;
    case 'pairwise': {
      const { options, gold } = item.orders[0]!;
      return options[gold]!.context + options[gold]!.continuation;
    }
    case 'loglikelihood_rolling':
      return item.text;
  }
}

function prepended(item: Item, examples: string): Item {
  const before = <O extends { context: string }>(one: O): O => ({ ...one, context: examples + one.context });
  const cut = ({ segments }: { segments?: Segments }) =>
    segments && { segments: { ...segments, prefix: examples + segments.prefix } };
  switch (item.output) {
    case 'multiple_choice':
      return { ...item, options: item.options.map(before), ...cut(item) };
    case 'loglikelihood':
      return { ...before(item), ...cut(item) };
    case 'generate_until':
      return { ...before(item), ...cut(item) };
    case 'yes_no':
    case 'caption':
      return before(item);
    case 'pairwise':
      return {
        ...item,
        orders: item.orders.map((order) => ({ ...order, options: order.options.map(before), ...cut(order) })),
      };
    case 'loglikelihood_rolling':
      return { ...item, text: examples + item.text };
  }
}
