/** The reference reproduces every attention vector, and malformed files are refused with the place named. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { maxAbsError } from '../reference/index.ts';
import { solve } from '../reference/solve.ts';
import { checkGolden } from './checks.ts';
import { FAMILIES, readGolden, readGoldenFolder } from './index.ts';

const folder = fileURLToPath(new URL('../../testbed/golden', import.meta.url));
const cases = await readGoldenFolder(folder);

test('every family is in the project’s own copy', () => {
  expect(new Set(cases.map(({ family }) => family))).toEqual(new Set(FAMILIES));
});

describe('the float64 reference reproduces', () => {
  const attention = cases.filter((golden) => checkGolden(golden, async (p) => solve(p)));
  test.each(attention)('$family $id', async (golden) => {
    const comparisons = await checkGolden(golden, async (problem) => solve(problem))!;
    expect(comparisons.length).toBeGreaterThan(0);
    for (const { name, actual, expected } of comparisons) {
      expect(actual, name).not.toBe(undefined);
      expect(maxAbsError(actual!, expected), name).toBeLessThan(golden.tolerance.float64);
    }
  });
  test('act, zerotuning, pine, var, vhr, imbalanced and tempscale among them', () => {
    const families = attention.map(({ family }) => family);
    for (const family of ['act', 'zerotuning', 'pine', 'var', 'vhr', 'imbalanced', 'tempscale']) {
      expect(families).toContain(family);
    }
  });
});

describe('a malformed file is refused', () => {
  const act = () => JSON.parse(readFileSync(`${folder}/act.json`, 'utf8'));
  const read = (document: unknown) => () => readGolden(JSON.stringify(document), 'act.json');

  test('text that is not JSON', () => {
    expect(() => readGolden('{', 'x.json')).toThrow(/GOLDEN_MALFORMED.*x\.json.*not JSON/);
  });
  test('an unknown method', () => {
    expect(read([{ kind: 'meta', method: 'telepathy' }])).toThrow(/GOLDEN_FAMILY_UNKNOWN.*telepathy/);
  });
  test('a tensor whose data has another shape than declared', () => {
    const document = act();
    document[1].inputs.q.shape[3] += 1;
    expect(read(document)).toThrow(/GOLDEN_MALFORMED.*act-prefill-absolute, inputs\.q.*declares/);
  });
  test('a tensor whose rows differ in length', () => {
    const document = act();
    document[1].inputs.k.data[0][0].pop();
    expect(read(document)).toThrow(/inputs\.k.*rows differ in length/);
  });
  test('a parameter that is missing', () => {
    const document = act();
    delete document[2].params.beta;
    expect(read(document)).toThrow(/act-prefill-relative, params\.beta/);
  });
});
