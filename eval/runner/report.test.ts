/** Reports of rows written here: every number can be checked by hand or against the statistics it is made of. */
import { describe, expect, test } from 'vitest';
import { reportTable } from '../reports/table.ts';
import { mcnemarExact } from '../statistics/mcnemar.ts';
import { tangoInterval } from '../statistics/tango.ts';
import { wilsonInterval } from '../statistics/wilson.ts';
import { acc, forty, rowsOf } from '../testing/rows.ts';
import { costsOf } from './costs.ts';
import { compare, type Measured, type MetricDelta } from './measure.ts';
import { reportRuns } from './report.ts';
import type { Row } from './row.ts';

const options = { seed: 0, resamples: 2000 };

describe('proportions of independent items', () => {
  const runs = reportRuns(rowsOf(forty), options);

  test('values with Wilson intervals', () => {
    expect(runs.map(({ metrics }) => metrics.acc)).toEqual(
      [20, 29, 22].map((right) => wilsonInterval(right, 40)),
    );
    expect(runs.map(({ n }) => n)).toEqual([40, 40, 40]);
  });

  test('differences with exact McNemar p, corrected over the interventions', () => {
    const [base, one, two] = runs;
    expect(base!.delta).toEqual({});
    expect(one!.delta.acc).toMatchObject({ value: expect.closeTo(9 / 40, 12), gained: 10, lost: 1, n: 40 });
    expect(two!.delta.acc).toMatchObject({ value: expect.closeTo(2 / 40, 12), gained: 2, lost: 0, n: 40 });
    const p = [mcnemarExact({ gained: 10, lost: 1 }), mcnemarExact({ gained: 2, lost: 0 })];
    expect([one!.delta.acc!.p, two!.delta.acc!.p]).toEqual(p);
    expect([one!.delta.acc!.pHolm, two!.delta.acc!.pHolm]).toEqual([2 * p[0]!, p[1]]);
    expect(one!.delta.acc!.low).toBeGreaterThan(0);
    expect(one!.delta.acc!.low).toBeLessThan(9 / 40);
    expect(one!.delta.acc!.high).toBeGreaterThan(9 / 40);
  });

  test('the detectable effect is never zero, even when nothing changed', () => {
    const same = reportRuns(rowsOf(forty.map(([first]) => [first!, first!])), options);
    // one changed item of 40: (1.96 + 0.84) / 40
    expect(same[1]!.delta.acc).toMatchObject({
      value: 0,
      low: expect.closeTo(-0.0876, 4),
      high: expect.closeTo(0.0876, 4),
      p: 1,
      minimumDetectable: expect.closeTo(2.8016 / 40, 4),
    });
  });

  test('costs add up; times are not in the report', () => {
    expect(runs[0]!.cost).toEqual({ tokens: 400, unsharedTokens: 1200, calls: 80 });
  });
});

test('clusters widen the interval and take McNemar out', () => {
  const plain = reportRuns(rowsOf(forty), options);
  const clustered = rowsOf(forty);
  clustered.rows.flat().forEach((row) => {
    row.cluster = `${Math.floor((Number(row.item) % 20) / 5)}`;
  });
  const runs = reportRuns(clustered, options);
  const { value, low, high } = runs[1]!.delta.acc!;
  expect(value).toBeCloseTo(plain[1]!.delta.acc!.value, 12);
  expect(runs[1]!.delta.acc!.p).not.toBe(plain[1]!.delta.acc!.p);
  expect(low! <= value && value <= high!).toBe(true);
});

test('clusters that are all alike are no certainty', () => {
  const none = forty.map(() => [acc(0), acc(0)]);
  const clustered = rowsOf(none);
  for (const row of clustered.rows.flat()) row.cluster = `${Number(row.item) % 10}`;
  const [base, one] = reportRuns(clustered, options);
  // 40 items whose variance ten clusters would tell: t(39) and t(9) at 0.975, from a table.
  const n = 40 * (2.02269 / 2.26216) ** 2;
  const close = ({ value, low, high }: Record<'value' | 'low' | 'high', number>) => ({
    value,
    low: expect.closeTo(low, 4),
    high: expect.closeTo(high, 4),
  });
  expect(base!.metrics.acc).toEqual(close(wilsonInterval(0, n)));
  expect(one!.delta.acc).toMatchObject(close(tangoInterval({ gained: 0, lost: 0 }, n)));
});

describe('clustered differences', () => {
  /** n items in C clusters, of which the first `changed` in the order of the data go from wrong to right. */
  const rows = (n: number, C: number, changed: number): [Measured[], Measured[]] => {
    const row = (i: number, right: boolean): Measured => ({
      cluster: `${i % C}`,
      terms: { acc: [right ? 1 : 0, 1] },
    });
    const items = Array.from({ length: n }, (_, i) => i);
    return [
      items.map((i) => row(i, i % 10 !== 0)),
      items.map((i) => row(i, i % 10 !== 0 || i < 10 * changed)),
    ];
  };
  const of = (n: number, C: number, changed: number) =>
    compare(...rows(n, C, changed), 'acc', { seed: '0', resamples: 100 })!;
  const width = ({ low, high }: MetricDelta) => high! - low!;

  test.each([
    [300, 50],
    [300, 300],
    [40, 8],
  ])('%i items in %i clusters: no jump from none to some', (n, C) => {
    const widths = [0, 1, 2, 3, 4].map((changed) => width(of(n, C, changed)));
    for (const [k, one] of widths.entries()) {
      if (k === 0) continue;
      expect(one).toBeGreaterThan(widths[k - 1]! * 0.8);
      expect(one).toBeLessThan(widths[k - 1]! * 1.6);
    }
  });

  test('as many clusters as items are no clusters', () => {
    const [before, after] = rows(300, 300, 4);
    const bare = (list: Measured[]) => list.map(({ terms }) => ({ terms }));
    const alone = compare(bare(before), bare(after), 'acc', { seed: '0', resamples: 100 })!;
    expect(of(300, 300, 4)).toEqual(alone);
    expect(alone).toMatchObject({ p: mcnemarExact({ gained: 4, lost: 0 }), gained: 4, lost: 0 });
  });

  test('items that change together are worth less than items that change apart', () => {
    const item = (i: number, right: boolean): Measured => ({
      cluster: `${Math.floor(i / 6)}`,
      terms: { acc: [right ? 1 : 0, 1] },
    });
    const list = (right: (i: number) => boolean) => Array.from({ length: 300 }, (_, i) => item(i, right(i)));
    const none = list(() => false);
    const changed = (right: (i: number) => boolean) =>
      compare(none, list(right), 'acc', { seed: '0', resamples: 100 })!;
    const together = changed((i) => i < 24);
    const apart = changed((i) => i % 6 === 0 && i < 144);
    expect(together.value).toBe(apart.value);
    expect(width(together)).toBeGreaterThan(1.8 * width(apart));
    // Four clusters that all went one way: 2 · 2⁻⁴; twenty-four: 2 · 2⁻²⁴.
    expect([together.p, apart.p]).toEqual([1 / 8, expect.closeTo(2 ** -23, 12)]);
  });

  test('an interval leaves zero out only where the exact test finds a difference; the gate follows', () => {
    for (const changed of [1, 2, 3, 4, 5, 6, 7, 8]) {
      for (const C of [300, 50]) {
        const { low, p } = of(300, C, changed);
        if (p! >= 0.05) expect(low).toBeLessThanOrEqual(0);
      }
    }
    // Five of five: p = 1/16. The score interval alone would leave zero out.
    expect(of(300, 300, 5)).toMatchObject({ low: 0, p: 1 / 16 });
    expect(tangoInterval({ gained: 5, lost: 0 }, 300).low).toBeGreaterThan(0);
    expect(of(300, 300, 6).low).toBeGreaterThan(0);
  });
});

test('perplexities are ratios of sums, with bootstrap intervals', () => {
  const terms = [
    [{ word_perplexity: [20, 10] }, { word_perplexity: [18, 10] }],
    [{ word_perplexity: [90, 30] }, { word_perplexity: [84, 30] }],
  ] as Row['terms'][][];
  const [base, one] = reportRuns(rowsOf(terms, {}, ['word_perplexity'], 'loglikelihood_rolling'), options);
  const { value, low, high } = base!.metrics.word_perplexity!;
  expect(value).toBeCloseTo(Math.exp(110 / 40), 12);
  expect([low, high]).toEqual([expect.closeTo(Math.exp(2), 12), expect.closeTo(Math.exp(3), 12)]);
  expect(one!.delta.word_perplexity!.value).toBeCloseTo(Math.exp(102 / 40) - Math.exp(110 / 40), 12);
  expect(one!.delta.word_perplexity).not.toHaveProperty('gained');
});

test('a single unit has a value and no interval', () => {
  const terms = [[{ word_perplexity: [20, 10] }, { word_perplexity: [18, 10] }]] as Row['terms'][][];
  const runs = reportRuns(rowsOf(terms, {}, ['word_perplexity'], 'loglikelihood_rolling'), options);
  expect(runs[0]!.metrics.word_perplexity).toEqual({ value: Math.exp(2), low: null, high: null });
  expect(runs[1]!.delta.word_perplexity).toMatchObject({ low: null, high: null, p: null, pHolm: null });
});

test('slices and positions have their own numbers, and are corrected among themselves', () => {
  const set = rowsOf(forty);
  set.rows.forEach((row, i) => {
    for (const one of row) Object.assign(one, { slice: i < 30 ? 'a' : 'b', position: i % 3 });
  });
  const [base, one, two] = reportRuns(set, options);
  expect(one!.slices!.map(({ slice, n }) => [slice, n])).toEqual([
    ['a', 30],
    ['b', 10],
  ]);
  expect(base!.slices![0]!.metrics.acc).toEqual(wilsonInterval(20, 30));
  expect(base!.slices![0]!.delta).toEqual({});
  const p = [mcnemarExact({ gained: 0, lost: 1 }), mcnemarExact({ gained: 10, lost: 0 })];
  expect(one!.slices!.map(({ delta }) => delta.acc!.p)).toEqual(p);
  // The smallest of four tests: two slices of two interventions.
  expect(one!.slices![1]!.delta.acc!.pHolm).toBe(4 * p[1]!);
  expect(two!.positions!.map(({ position, n }) => [position, n])).toEqual([
    [0, 14],
    [1, 13],
    [2, 13],
  ]);
  expect(reportRuns(rowsOf(forty), options)[0]).not.toHaveProperty('slices');
});

test('times: sums, and a ratio to the baseline’s with its interval', () => {
  const set = rowsOf(forty);
  set.rows.forEach(([base, one], i) => {
    Object.assign(base!.cost, { ms: 10 + i, decodedTokens: 4, decodeMs: 6 });
    Object.assign(one!.cost, { ms: 2 * (10 + i), residentBytes: 1e6 + i });
  });
  const [base, one] = costsOf(set, 0);
  expect(base).toMatchObject({ ms: 1180, decodeMsPerToken: 1.5, prefillMsPerToken: (1180 - 240) / 240 });
  expect(base!.overhead).toEqual({ value: 1, low: null, high: null });
  expect(one).toMatchObject({ overhead: { value: 2, low: 2, high: 2 }, peakBytes: 1e6 + 39 });
  expect(one!.decodeMsPerToken).toBeNull();
});

test('skipped, unparsable and truncated items are counted; pairs need both sides', () => {
  const set = rowsOf(forty);
  Object.assign(set.rows[0]![1]!, { skipped: 'SCORE_TOO_LONG: …', terms: {} });
  Object.assign(set.rows[1]![2]!, { unparsable: true, terms: acc(0) });
  Object.assign(set.rows[2]![0]!, { truncated: true });
  const runs = reportRuns(set, options);
  expect(runs.map(({ n, skipped, unparsable, truncated }) => [n, skipped, unparsable, truncated])).toEqual([
    [40, 0, 0, 1],
    [39, 1, 0, 0],
    [40, 0, 1, 0],
  ]);
  expect(runs[1]!.delta.acc!.n).toBe(39);
});

test('the table has a line for each run and metric, numbers aligned', () => {
  const table = reportTable(reportRuns(rowsOf(forty), options));
  const lines = table.split('\n');
  expect(lines).toHaveLength(4);
  expect(lines[1]).toMatch(/^t +baseline +acc +40 +50\.0 +35\.2 … 64\.8 .* 0 +0 +400$/);
  expect(lines[2]).toMatch(/^t +one +acc +40 +72\.5 .* \+22\.5 +\+\d+\.\d … \+\d+\.\d +0\.012 +0\.023 /);
  expect(new Set(lines.map((line) => line.length)).size).toBe(1);
});
