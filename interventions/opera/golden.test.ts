/** OPERA's penalties and rollbacks against their reference vectors, in float64. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { chargedLogProbabilities, penaltyOf } from './penalty.ts';
import { decideRollback } from './rollback.ts';
import { type Stripes, stripeRow, strongest, withRow } from './stripes.ts';

interface Dense {
  shape: number[];
  // biome-ignore lint/suspicious/noExplicitAny: nested to the depth of the shape
  data: any;
}
// biome-ignore lint/suspicious/noExplicitAny: the file's own layout
const cases: any[] = JSON.parse(
  readFileSync(new URL('../../testbed/golden/opera.json', import.meta.url), 'utf8'),
);
const penalties = cases.filter(({ name }) => name.startsWith('penalty'));
const rollbacks = cases.filter(({ name }) => name.startsWith('rollback'));

/** The files have 12 significant digits. */
const close = (found: number, wanted: number) =>
  expect(Math.abs(found - wanted)).toBeLessThanOrEqual(1e-9 * Math.max(1, Math.abs(wanted)));

test('the file has both kinds of cases', () => {
  expect([penalties.length, rollbacks.length].every((n) => n > 0)).toBe(true);
});

describe.each(penalties.map((one) => [one.name, one] as const))('%s', (_, { params, inputs, expected }) => {
  const { sigma, alpha, image_span, response_start: start } = params;
  const picture = [{ from: image_span[0], to: image_span[1] }];
  const heads = (row: number[][]) => row.length;
  const candidateRows = (inputs.candidate_rows as Dense).data as number[][][][];
  const logits = (inputs.candidate_logits as Dense).data as number[][];

  test.each(candidateRows.map((_, beam) => beam))('beam %i', (beam) => {
    let stripes: Stripes = [];
    const previous = (inputs.prev_rows[beam] as Dense).data as number[][][];
    for (const [i, row] of previous.entries()) {
      // The file pads rows with zeros to one length.
      const seen = row.map((head) => head.slice(0, start + i + 1));
      stripes = withRow(stripes, stripeRow(seen.flat(), heads(seen), start, picture), sigma);
    }
    const paper: number[] = [];
    const code: number[] = [];
    for (const [c, row] of candidateRows[beam]!.entries()) {
      const seen = stripeRow(row.flat(), heads(row), start, picture);
      const window = expected.window.data[beam][c] as number[][];
      for (const [j, weight] of seen.response.entries()) close(weight, window.at(-1)![j]!);
      close(seen.picture, expected.image_mass.data[beam][c]);
      const columns = withRow(stripes, seen, sigma);
      for (const [j, column] of columns.entries())
        close(Math.exp(column), expected.column_scores.data[beam][c][j]);
      const { logPhi, column } = strongest(columns);
      close(Math.exp(logPhi), expected.phi.data[beam][c]);
      close(logPhi, expected.log_phi.data[beam][c]);
      expect(column).toBe(expected.location.data[beam][c]);
      const length = columns.length;
      const of = (rules: { factor: number; shortResponse: number }) =>
        penaltyOf({ logPhi, picture: seen.picture, length }, { alpha, ...rules });
      paper.push(of({ factor: 1, shortResponse: 0 }));
      code.push(of({ factor: params.code_factor, shortResponse: params.code_short_response }));
      close(code.at(-1)!, expected.penalty_code.data[beam][c]);
    }
    const charged = (penalty: number[]) => chargedLogProbabilities(logits[beam]!, penalty, { alpha });
    charged(paper).forEach((value, c) => {
      close(value, expected.logprobs_paper.data[beam][c]);
    });
    charged(code).forEach((value, c) => {
      close(value, expected.logprobs_code.data[beam][c]);
    });
  });
});

test.each(rollbacks.map((one) => [one.name, one] as const))('%s', (_, { params, inputs, expected }) => {
  const used = new Map(
    Object.entries((inputs.rollback_times ?? {}) as Record<string, number>).map(([position, n]) => [
      Number(position),
      n,
    ]),
  );
  const rules = {
    threshold: params.threshold,
    most: params.beta,
    minLocation: params.min_location,
    inclusive: false,
  };
  const decision = decideRollback(inputs.history, inputs.candidate_locations, used, rules);
  expect(decision).toEqual({
    perBeam: expected.per_beam,
    target: expected.target,
    counts: expected.counts,
    position: expected.rollback ? expected.position : undefined,
  });
});

test('the paper is content with as many steps as the threshold', () => {
  const rules = { threshold: 3, most: 5, minLocation: 0 };
  const [history, now] = [
    [
      [2, 2],
      [2, 2],
    ],
    [[2], [2]],
  ];
  expect(decideRollback(history, now, new Map(), { ...rules, inclusive: true }).position).toBe(3);
  expect(decideRollback(history, now, new Map(), { ...rules, inclusive: false }).position).toBeUndefined();
});

test('a weight of zero and a φ beyond float16 stay finite', () => {
  const row = stripeRow([0, 0, 0.5, 0.5], 2, 0, []);
  expect(withRow([], row, 50).every(Number.isFinite)).toBe(true);
  const penalty = penaltyOf(
    { logPhi: 400, picture: 0, length: 100 },
    { alpha: 1, factor: 1e-7, shortResponse: 10 },
  );
  expect(Number.isFinite(penalty)).toBe(true);
});
