/** The generator of all randomness: reproducible, uniform enough, weighted as asked. */
import { expect, test } from 'vitest';
import { hash32, random } from './random.ts';

test('a seed is a stream, and other seeds are other streams', () => {
  const draw = (seed: string): number[] => Array.from({ length: 8 }, random(seed).next);
  expect(draw('a')).toEqual(draw('a'));
  expect(draw('a')).not.toEqual(draw('b'));
  // FNV-1a and fmix32 computed apart, in Python: the worlds must not change under a model that was trained on them.
  expect(hash32('attune')).toBe(3303212661);
});

test('uniform on [0, 1): mean, variance and ten buckets', () => {
  const rng = random('uniform');
  const xs = Array.from({ length: 50_000 }, rng.next);
  const mean = xs.reduce((a, b) => a + b) / xs.length;
  const variance = xs.reduce((a, b) => a + (b - mean) ** 2, 0) / xs.length;
  expect(mean).toBeCloseTo(0.5, 2);
  expect(variance).toBeCloseTo(1 / 12, 2);
  for (let bucket = 0; bucket < 10; bucket++) {
    expect(xs.filter((x) => Math.floor(10 * x) === bucket).length / xs.length).toBeCloseTo(0.1, 2);
  }
});

test('weighted draws follow the weights; zero is never drawn', () => {
  const rng = random('weights');
  const counts = [0, 0, 0];
  for (let i = 0; i < 20_000; i++) counts[rng.weighted([3, 0, 1])]!++;
  expect(counts[1]).toBe(0);
  expect(counts[0]! / 20_000).toBeCloseTo(0.75, 1);
});

test('sample gives different elements and leaves the source alone', () => {
  const source = [1, 2, 3, 4, 5];
  const sample = random('sample').sample(source, 3);
  expect(new Set(sample).size).toBe(3);
  expect(source).toEqual([1, 2, 3, 4, 5]);
  expect(random('shuffle').shuffle(source).sort()).toEqual(source);
});
