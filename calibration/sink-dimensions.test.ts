import { expect, test } from 'vitest';
import { imagePrompts, llavaCases, loadLlava } from '../hooks/model/llava.test-support.ts';
import { findSinks, type PromptStreams, promptStreams } from './sink-dimensions.ts';

/** Streams of noise in which some tokens have two planted dimensions. */
function planted(width: number, size: number, sinks: readonly number[], seed: number): PromptStreams {
  let state = seed;
  const noise = () => {
    state = (state * 48271) % 2147483647;
    return (state / 2147483647) * 2 - 1;
  };
  const T = 40;
  const layers = Array.from({ length: 8 }, () => {
    const x = Float32Array.from({ length: T * width }, noise);
    for (const t of [0, ...sinks]) {
      x[t * width + 5] = size;
      x[t * width + 9] = -size * 0.9;
    }
    return x;
  });
  return { layers, width, picture: Uint8Array.from({ length: T }, (_, t) => Number(t >= 2 && t < 30)) };
}

test('planted dimensions are found; the paper’s threshold holds where it can be reached', () => {
  const found = findSinks([planted(4096, 900, [7, 11], 3), planted(4096, 900, [20], 4)]);
  expect(found.dimensions).toEqual([5, 9]);
  expect(found.massive).toBe(true);
  expect(found.tauFrom).toBe('paper');
  expect(found.tau).toBe(20);
  expect(found.sinks.picture).toBeCloseTo(3 / 56, 6);
  // φ of a sink: two dimensions of 900 and 810 among 4,096 of noise whose mean square is 1/3.
  expect(found.phi.first).toBeCloseTo(900 / Math.sqrt((900 ** 2 + 810 ** 2 + 4094 / 3) / 4096), 0);
  expect(found.layers).toEqual([2, 3, 4, 5, 6]);
});

test('a small model cannot reach it: the gap between sinks and other tokens is taken', () => {
  const found = findSinks([planted(64, 30, [7, 11], 3), planted(64, 30, [20], 4)]);
  expect(found.dimensions).toEqual([5, 9]);
  expect(found.bound).toBe(8);
  expect(found.tauFrom).toBe('gap');
  expect(found.tau).toBeGreaterThan(found.phi.picture.median);
  expect(found.tau).toBeLessThan(found.phi.first);
  expect(found.sinks.picture).toBeCloseTo(3 / 56, 6);
});

test('a model of random weights has no massive activations, and is told so', async () => {
  const model = await loadLlava('llava-gqa');
  const streams = [];
  for (const { prompt, pixels } of llavaCases().slice(0, 3)) {
    streams.push(await promptStreams(model, imagePrompts([prompt], [pixels])));
  }
  const found = findSinks(streams);
  expect(found.massive).toBe(false);
  expect(found.tau).toBeLessThan(found.bound);
  expect(found.prompts).toBe(3);
  await model.dispose();
});

test('prompts without a picture say nothing', () => {
  const text = { ...planted(64, 30, [], 1), picture: new Uint8Array(40) };
  expect(() => findSinks([text])).toThrow(/CALIBRATION_TOO_FEW.*1 prompts, none with a picture/);
  expect(() => findSinks([])).toThrow(/CALIBRATION_TOO_FEW.*0 prompts, none with a picture/);
});
