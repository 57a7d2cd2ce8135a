/** Records beside a record: some others of the same source, such as the passages that distract from the right one. */
import { z } from 'zod';
import { AttuneError } from '../../errors.ts';
import { uniformIntegers } from '../statistics/random.ts';

export const othersSchema = z.strictObject({
  count: z.int().positive().describe('how many others'),
  as: z.string().min(1).describe('the field that gets the list of them'),
});

interface Placed {
  fields: Record<string, unknown>;
}

/**
 * Each record draws its own others, by its place in the source: whatever the run's seed or sample, it has the same ones.
 * @throws AttuneError DATA_OTHERS
 */
export async function* withOthers<R extends Placed>(
  records: AsyncIterable<R>,
  { count, as }: z.output<typeof othersSchema>,
  placeOf: (record: R) => string,
): AsyncGenerator<R> {
  const all: R[] = [];
  for await (const record of records) all.push(record);
  if (all.length <= count && all[0]) {
    throw new AttuneError('DATA_OTHERS', {
      at: placeOf(all[0]),
      found: `${all.length - 1} other records`,
      expected: `at least ${count}`,
    });
  }
  for (const record of all) {
    const index = uniformIntegers(`${placeOf(record)}/others`);
    const chosen = new Set<R>();
    while (chosen.size < count) {
      const one = all[index(all.length)]!;
      if (one !== record) chosen.add(one);
    }
    yield { ...record, fields: { ...record.fields, [as]: [...chosen].map(({ fields }) => fields) } };
  }
}
