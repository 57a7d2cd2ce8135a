/** The golden families that no kernel answers for: every figure to the twelve digits of the files, and a wrong one is seen. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { type GoldenCase, readGolden } from '../../kernels/golden/index.ts';
import { otherFamilies } from './other-families.ts';

const read = (name: string, change = (text: string) => text) =>
  readGolden(
    change(readFileSync(new URL(`../../testbed/golden/${name}.json`, import.meta.url), 'utf8')),
    `${name}.json`,
  );

/** Largest difference, relative above 1. */
async function worst(golden: GoldenCase): Promise<number> {
  const comparisons = await otherFamilies(golden)!;
  expect(comparisons.length).toBeGreaterThan(0);
  const errors = comparisons.flatMap(({ actual, expected }) => {
    expect(expected.data.length).toBeGreaterThan(0);
    return Array.from(
      expected.data,
      (value, i) => Math.abs(actual!.data[i]! - value) / Math.max(1, Math.abs(value)),
    );
  });
  return errors.reduce((most, error) => (error <= most ? most : error), 0);
}

describe.each(['chair', 'pope', 'opera'])('%s', (name) => {
  test.each(read(name).map((golden) => [golden.id, golden] as const))('%s', async (_, golden) => {
    expect(await worst(golden)).toBeLessThan(1e-9);
  });
});

test.each([
  ['chair', '"CHAIR_I":0.111111111111', '"CHAIR_I":0.111111'],
  ['pope', '"accuracy":0.571428571429', '"accuracy":0.57'],
  ['opera', '"target":13', '"target":12'],
] as const)('%s: a wrong figure is off', async (name, right, wrong) => {
  const change = (text: string) => text.replace(right, wrong);
  expect(read(name, change)).not.toEqual(read(name));
  const errors = await Promise.all(read(name, change).map(worst));
  expect(errors.filter((error) => error > 1e-8)).toHaveLength(1);
});

test('of ZeroTuning its search, and no attention', async () => {
  const others = read('zerotuning').filter((golden) => otherFamilies(golden) !== undefined);
  expect(others.map(({ content }) => (content as { kind: string }).kind)).toEqual([
    'zerotuning_entropy',
    'zerotuning_selection',
  ]);
  for (const golden of others) expect(await worst(golden)).toBeLessThan(1e-6);
});
