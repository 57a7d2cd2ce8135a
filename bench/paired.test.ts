import { expect, test } from 'vitest';
import { compare, paired, type Sample } from './paired.ts';

test('pairs take turns, each side first every other time, and warm-up runs do not count', async () => {
  const order: string[] = [];
  const run = (name: string) => async () => {
    order.push(name);
  };
  const samples = await paired(run('b'), run('c'), { pairs: 3, warmUp: 2 });
  expect(samples).toHaveLength(3);
  expect(order.join('')).toBe('bccbbccbbc');
});

test('a sample stays with its side when the order is swapped', async () => {
  const spin = (ms: number) => async () => {
    const end = performance.now() + ms;
    while (performance.now() < end);
  };
  const samples = await paired(spin(0), spin(20), { pairs: 4 });
  for (const [baseline, candidate] of samples) expect(candidate.wall).toBeGreaterThan(baseline.wall);
});

const sample = (wall: number, cpu = wall): Sample => ({ wall, cpu });

test('the ratio is the median over pairs: a slow spell that hits whole pairs leaves it alone', () => {
  const pairs = [10, 10, 1000, 10, 300].map((ms) => [sample(ms), sample(ms * 1.1)] as const);
  const { ratio, baselineMs, pairs: count } = compare(pairs, 'wall');
  expect(ratio).toBeCloseTo(1.1, 12);
  expect(baselineMs).toBe(10);
  expect(count).toBe(5);
});

test('the fastest runs are compared with each other, wherever they fell', () => {
  const pairs = [
    [sample(10), sample(30)],
    [sample(20), sample(11)],
  ] as const;
  expect(compare(pairs, 'wall').best).toBeCloseTo(1.1, 12);
});

test('clocks are kept apart', () => {
  const pairs = [[sample(10, 4), sample(30, 6)]] as const;
  expect(compare(pairs, 'wall').ratio).toBe(3);
  expect(compare(pairs, 'cpu').ratio).toBe(1.5);
});
