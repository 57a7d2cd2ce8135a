/** The parts of a search by themselves: caches by rows, finished sequences, the best of many. */
import { Tensor } from '@huggingface/transformers';
import { describe, expect, test } from 'vitest';
import { asCache, type Cache, gatherRows, newestToken, rebuild } from './cache.ts';
import { bestOf, Hypotheses, largestLogits, logSumExp } from './hypotheses.ts';

/** [B,K,T,D] with 1000 b + 100 k + 10 t + d. */
function cache(B: number, K: number, T: number, D: number): Cache {
  const data: number[] = [];
  for (let b = 0; b < B; b++)
    for (let k = 0; k < K; k++)
      for (let t = 0; t < T; t++) for (let d = 0; d < D; d++) data.push(1000 * b + 100 * k + 10 * t + d);
  const tensor = () => new Tensor('float32', Float32Array.from(data), [B, K, T, D]);
  return asCache([
    ['past_key_values.0.key', tensor()],
    ['past_key_values.0.value', tensor()],
  ]);
}
const key = (of: Cache) => of['past_key_values.0.key']!;

describe('caches', () => {
  test('rows move, repeat and go; nothing moves where none does', () => {
    const three = cache(3, 2, 2, 2);
    const moved = key(gatherRows(three, [2, 2, 0, 1]));
    expect(moved.dims).toEqual([4, 2, 2, 2]);
    const firsts = [0, 1, 2, 3].map((row) => (moved.data as Float32Array)[row * 8]);
    expect(firsts).toEqual([2000, 2000, 0, 1000]);
    expect(gatherRows(three, [0, 1, 2])).toBe(three);
    expect(three.get_seq_length).toBeTypeOf('function');
    expect(Object.keys(three)).toHaveLength(2);
  });

  test('a prompt and what each token left make the cache again', () => {
    const whole = cache(2, 2, 4, 3);
    const prompt = gatherRows(cache(1, 2, 2, 3), [0]);
    // The tokens after the second of row 0, taken one by one as they came.
    const third = newestToken(cut(whole, 3), [0])[0]!;
    const fourth = newestToken(whole, [0])[0]!;
    const again = rebuild(prompt, [
      [third, fourth],
      [third, fourth],
    ]);
    expect(key(again).dims).toEqual([2, 2, 4, 3]);
    const row = key(gatherRows(whole, [0])).data as Float32Array;
    expect([...(key(again).data as Float32Array)]).toEqual([...row, ...row]);
  });

  test('what is no cache of keys and values is refused', () => {
    const state = asCache([['past_conv.0', new Tensor('float32', new Float32Array(6), [1, 2, 3]) as never]]);
    expect(() => newestToken(state, [0])).toThrow(/CACHE_LAYOUT.*past_conv\.0.*\[1, 2, 3\]/);
  });
});

/** The first T tokens. */
function cut(of: Cache, T: number): Cache {
  return asCache(
    Object.entries(of).map(([name, tensor]) => {
      const [B, K, all, D] = tensor.dims as [number, number, number, number];
      const from = tensor.data as Float32Array;
      const rows = Array.from({ length: B * K }, (_, i) => [
        ...from.subarray(i * all * D, (i * all + T) * D),
      ]);
      return [name, new Tensor('float32', Float32Array.from(rows.flat()), [B, K, T, D]) as never];
    }),
  );
}

describe('finished sequences', () => {
  const rules = {
    beams: 2,
    lengthPenalty: 1,
    earlyStopping: false,
    eos: new Set([9]),
    maxNewTokens: 10,
  } as const;
  const extension = (beam: number, token: number, score: number) => ({ beam, token, score });

  test('an end among the best is put aside, one further down is not', () => {
    const hypotheses = new Hypotheses(rules);
    const next = hypotheses.advance(
      [extension(0, 9, -1), extension(0, 4, -2), extension(0, 9, -3), extension(0, 5, -4)],
      [[1]],
    );
    expect(next.map(({ token }) => token)).toEqual([4, 5]);
    expect(hypotheses.done).toBe(false);
    // −1 / 2 tokens beats what is open.
    expect(hypotheses.best([{ tokens: [1, 4], score: -2 }])).toEqual([1, 9]);
  });

  test('done when nothing open can win, by length', () => {
    const hypotheses = new Hypotheses(rules);
    hypotheses.advance(
      [extension(0, 9, -1), extension(1, 9, -1.2), extension(0, 4, -9), extension(1, 4, -9)],
      [[1], [2]],
    );
    hypotheses.advance(
      [extension(0, 4, -9), extension(1, 4, -9)],
      [
        [1, 4],
        [2, 4],
      ],
    );
    expect(hypotheses.done).toBe(true);
    const patient = new Hypotheses({ ...rules, earlyStopping: 'never' });
    patient.advance(
      [extension(0, 9, -1), extension(1, 9, -1.2), extension(0, 4, -5), extension(1, 4, -5)],
      [[1], [2]],
    );
    expect(patient.done).toBe(false);
    const hasty = new Hypotheses({ ...rules, earlyStopping: true });
    hasty.advance(
      [extension(0, 9, -1), extension(1, 9, -1.2), extension(0, 4, -1.3), extension(1, 4, -1.4)],
      [[1], [2]],
    );
    expect(hasty.done).toBe(true);
  });

  test('a fork is left alone by what follows', () => {
    const hypotheses = new Hypotheses(rules);
    const fork = hypotheses.fork();
    hypotheses.advance([extension(0, 9, -0.1), extension(0, 4, -2), extension(0, 5, -3)], [[1]]);
    expect(fork.best([{ tokens: [7], score: -1 }])).toEqual([7]);
  });
});

test('the best of many, ties to the earlier', () => {
  const scores = [1, 3, 2, 3, 0];
  const extensions = scores.map((score, token) => ({ beam: 0, token, score }));
  expect(bestOf(extensions, 3).map(({ token }) => token)).toEqual([1, 3, 2]);
  expect(largestLogits(Float32Array.from(scores), 3)).toEqual([1, 3, 2]);
  expect(largestLogits(Float32Array.of(0, Number.NEGATIVE_INFINITY), 5)).toEqual([0, 1]);
  expect(logSumExp([1000, 1000])).toBeCloseTo(1000 + Math.LN2, 9);
});
