/** What the models were made for, by the measurements that were taken with their weights (train/measure_*.py). */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

interface Share {
  value: number;
  low: number;
  high: number;
  n: number;
}

const testSplit = <T>(folder: string): Record<string, T> =>
  JSON.parse(readFileSync(new URL(`${folder}/measurements.json`, import.meta.url), 'utf8')).test;

interface Task {
  chance: number;
  accuracy: Share;
  accuracy_by_gold_place: Share[];
}

/** The weights that ship, and those that the training program made from nothing as it stands. */
const LANGUAGE = ['models/worlds-lm', 'train/check'];

test.each(LANGUAGE)('the language model of %s knows its tasks: far above chance', (folder) => {
  const measured = testSplit<Task>(folder);
  for (const task of ['sentiment', 'topic', 'choice', 'documents', 'judge']) {
    const { chance, accuracy } = measured[task]!;
    expect(accuracy.n, task).toBeGreaterThanOrEqual(500);
    expect(accuracy.low, task).toBeGreaterThan(chance + 0.3);
  }
});

test.each(
  LANGUAGE.flatMap((folder) => ['documents', 'choice', 'judge'].map((task) => [folder, task] as const)),
)('%s, %s: an order bias of ten points and more, beyond chance', (folder, task) => {
  const places = testSplit<Task>(folder)[task]!.accuracy_by_gold_place;
  const sorted = places.toSorted((a, b) => a.value - b.value);
  const [worst, best] = [sorted[0]!, sorted.at(-1)!];
  expect(best.value - worst.value).toBeGreaterThanOrEqual(0.1);
  expect(best.low).toBeGreaterThan(worst.high);
  for (const { n } of places) expect(n).toBeGreaterThanOrEqual(500);
});

test('the picture model sees, and imagines the usual companion', () => {
  const measured = testSplit<{ accuracy: Share; chair_i: Share }>('models/worlds-vlm');
  const random = measured['existence-random']!.accuracy;
  const adversarial = measured['existence-adversarial']!.accuracy;
  expect(random.low).toBeGreaterThanOrEqual(0.9);
  expect(random.value - adversarial.value).toBeGreaterThanOrEqual(0.08);
  expect(random.low).toBeGreaterThan(adversarial.high);
  for (const length of ['medium', 'long']) {
    const { chair_i } = measured[`caption-${length}`]!;
    expect(chair_i.low).toBeGreaterThan(0.05);
    expect(chair_i.high).toBeLessThan(0.4);
  }
});
