/** Log-probabilities against float64, in vocabularies that are summed here and in ones that ONNX Runtime sums. */
import { describe, expect, test } from 'vitest';
import { uniformIntegers } from '../statistics/random.ts';
import { tokenLogProbabilities } from './token-log-probability.ts';

/** Of the row that begins at `offset`. */
const tokenLogProbability = async (logits: Float32Array, offset: number, V: number, token: number) =>
  (await tokenLogProbabilities(logits.subarray(offset, offset + V), V, [token]))[0]!;

test('tokenLogProbability: ln softmax in float64, greedy for the first of equal logits', async () => {
  const logits = Float32Array.from([9, 9, 1, 3, 3, 2]);
  const total = Math.log(Math.exp(1) + 2 * Math.exp(3) + Math.exp(2));
  expect(await tokenLogProbability(logits, 2, 4, 1)).toEqual({
    logProbability: expect.closeTo(3 - total, 12),
    greedy: true,
  });
  expect(await tokenLogProbability(logits, 2, 4, 2)).toEqual({
    logProbability: expect.closeTo(3 - total, 12),
    greedy: false,
  });
  const { logProbability } = await tokenLogProbability(Float32Array.from([-1e30, 1e30]), 0, 2, 0);
  expect(logProbability).toBe(-2 * Math.fround(1e30));
});

describe('tokenLogProbability of a large vocabulary', () => {
  const V = 50_257;
  const from = 3;
  /** Two rows after some numbers that are no part of them; logits from −20 to 20, the largest at `best`. */
  const rows = (best: number) => {
    const integer = uniformIntegers('logits');
    const logits = Float32Array.from({ length: from + 2 * V }, () => integer(40_000) / 1000 - 20);
    logits[from + V + best] = 21;
    return logits;
  };
  const exact = (logits: Float32Array, token: number) => {
    const row = logits.subarray(from + V);
    return row[token]! - 21 - Math.log(row.reduce((sum, value) => sum + Math.exp(value - 21), 0));
  };

  test.each([7, V - 1])('is that of float64 to 1e-6, with the largest logit at %i', async (best) => {
    const logits = rows(best);
    for (const token of [0, best, V - 2]) {
      const { logProbability, greedy } = await tokenLogProbability(logits, from + V, V, token);
      expect(Math.abs(logProbability - exact(logits, token))).toBeLessThan(1e-6);
      expect(greedy).toBe(token === best);
    }
  });

  test('a NaN anywhere is NaN; tokens that are cut off are −∞ and leave the others alone', async () => {
    for (const at of [0, 40_000, V - 1]) {
      const logits = rows(7);
      logits[from + V + at] = Number.NaN;
      expect((await tokenLogProbability(logits, from + V, V, 5)).logProbability).toBeNaN();
    }
    for (const [left, logit] of [
      [9, 2],
      [9, -300],
      [V - 1, 2],
    ] as const) {
      const logits = new Float32Array(V).fill(Number.NEGATIVE_INFINITY);
      logits[left] = logit;
      const whole = await tokenLogProbability(logits, 0, V, left);
      expect(whole.logProbability).toBeGreaterThan(-1e-6);
      expect(whole.logProbability).toBeLessThanOrEqual(0);
      expect(whole.greedy).toBe(true);
      const cut = await tokenLogProbability(logits, 0, V, left - 1);
      expect(cut).toEqual({ logProbability: Number.NEGATIVE_INFINITY, greedy: false });
    }
  });

  test.each([-1000, -70, 70, 100, 1000])(
    'logits about %i, which float32 exponentials cannot all hold',
    async (about) => {
      const logits = rows(7).map((logit) => logit + about);
      const best = logits[from + V + 7]!;
      const row = logits.subarray(from + V);
      const sum = Math.log(row.reduce((total, logit) => total + Math.exp(logit - best), 0));
      for (const token of [0, 7, V - 2]) {
        const { logProbability, greedy } = await tokenLogProbability(logits, from + V, V, token);
        expect(Math.abs(logProbability - (row[token]! - best - sum))).toBeLessThan(1e-6);
        expect(greedy).toBe(token === 7);
      }
    },
  );

  test.each([50_257, 50_304])('rows of %i are what they are alone', async (V) => {
    const integer = uniformIntegers('many rows');
    const logits = Float32Array.from({ length: 11 * V }, () => integer(40_000) / 1000 - 20);
    const tokens = Array.from({ length: 11 }, () => integer(V));
    const together = await tokenLogProbabilities(logits, V, tokens);
    for (const [row, token] of tokens.entries()) {
      expect(together[row]).toEqual(await tokenLogProbability(logits, row * V, V, token));
    }
  });

  test('of equal largest logits the first is greedy', async () => {
    const logits = rows(7);
    logits[from + V + 400] = 21;
    expect((await tokenLogProbability(logits, from + V, V, 7)).greedy).toBe(true);
    expect((await tokenLogProbability(logits, from + V, V, 400)).greedy).toBe(false);
  });
});
