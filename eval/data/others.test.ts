import { expect, test } from 'vitest';
import { withOthers } from './others.ts';

async function* records(n: number) {
  for (let i = 0; i < n; i++) yield { fields: { name: `r${i}` }, line: i };
}

const of = async (n: number, count: number) => {
  const all = [];
  for await (const record of withOthers(records(n), { count, as: 'others' }, ({ line }) => `f:${line}`)) {
    all.push(record.fields as { name: string; others: { name: string }[] });
  }
  return all;
};

test('each record has so many different others, never itself, and the same ones every time', async () => {
  const all = await of(6, 4);
  expect(all.map(({ name }) => name)).toEqual(['r0', 'r1', 'r2', 'r3', 'r4', 'r5']);
  for (const { name, others } of all) {
    const names = others.map((other) => other.name);
    expect(new Set([name, ...names]).size).toBe(5);
  }
  expect(await of(6, 4)).toEqual(all);
  expect(new Set(all.map(({ others }) => others.map(({ name }) => name).join())).size).toBeGreaterThan(1);
});

test('too few to choose from', async () => {
  await expect(of(4, 4)).rejects.toMatchObject({ code: 'DATA_OTHERS', at: 'f:0', found: '3 other records' });
  expect(await of(5, 4)).toHaveLength(5);
});
