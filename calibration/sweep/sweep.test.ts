import { afterAll, expect, test } from 'vitest';
import { batch, load, type TestModel } from '../../hooks/model/attuned.test-support.ts';
import type { Intervention } from '../../hooks/model/index.ts';
import { act, eachRow, headAblation, headScale, tempScale, zeroTuning } from '../../interventions/index.ts';
import { logSumExp } from './distribution.ts';
import { Sweep, type SweepItem, type SweepOptions } from './sweep.ts';
import { SweepSession } from './sweep-session.ts';

const models = new Map<string, TestModel>();
const model = async (name: string) => {
  const known = models.get(name) ?? (await load(name));
  models.set(name, known);
  return known;
};
afterAll(async () => {
  for (const one of models.values()) await one.dispose();
});

/** A prompt with answers of one, two and three tokens, two of which begin alike; and a text to predict whole. */
const items: SweepItem[] = [
  {
    id: 'choices',
    requests: [[7], [9, 4], [9, 8, 11]].map((continuation) => ({
      context: [1, 20, 31, 5, 17, 40, 12, 3, 25, 8, 14, 22, 9, 30, 2, 19, 27, 6, 11, 33],
      continuation,
    })),
  },
  { id: 'text', requests: [{ context: [1], continuation: [12, 9, 30, 22, 7, 12, 9] }] },
];

/** What the model itself says, one text at a time, nothing shared. */
async function alone(one: TestModel, setting: Intervention | undefined): Promise<number[][]> {
  one.use(setting ? [setting] : []);
  const result: number[][] = [];
  for (const { requests } of items) {
    const sums: number[] = [];
    for (const { context, continuation } of requests) {
      const { logits } = await one(batch([...context, ...continuation.slice(0, -1)]));
      const V = logits.dims[2]!;
      const data = logits.data as Float32Array;
      sums.push(
        continuation.reduce((sum, token, k) => {
          const at = (context.length - 1 + k) * V;
          return sum + data[at + token]! - logSumExp(data, at, V);
        }, 0),
      );
    }
    result.push(sums);
  }
  one.use([]);
  return result;
}

async function swept(one: TestModel, settings: (Intervention | undefined)[], options: SweepOptions = {}) {
  await using sweep = new Sweep(one.attune.facts, options);
  return (await sweep.run(items, settings)).map((row) => row.map(({ logLikelihoods }) => logLikelihoods));
}

const SETTINGS: (Intervention | undefined)[] = [
  undefined,
  zeroTuning({ gamma: 3 }),
  zeroTuning({ gamma: 0.2, heads: [[1, 1]] }),
  zeroTuning({ gamma: 5, heads: [[1, 0]] }),
  zeroTuning({ gamma: 2, layers: [0], tokens: [1, 3] }),
  headAblation({ heads: [[1, 0]] }),
  headAblation({ heads: [[0, 1]] }),
  tempScale({ temperature: 0.5, layers: [1] }),
  headScale({ scale: 2, layers: [1], heads: [0] }),
];
const ACT = [
  act({ heads: [[1, 1]], beta: 0, threshold: { alpha: 0.5 } }),
  act({ heads: [[0, 0]], beta: 0.2, threshold: { alpha: 0.5 } }),
];

type Table = readonly (readonly (readonly number[])[])[];
/** The largest difference; a text of seven tokens is allowed seven times that of one. */
const close = (found: Table, expected: Table) => {
  const pairs = found.flat(2).map((value, i) => [value, expected.flat(2)[i]!] as const);
  expect(pairs).toHaveLength(expected.flat(2).length);
  return Math.max(...pairs.map(([a, b]) => Math.abs(a - b)));
};

test.each([
  ['llama-eager', true],
  ['llama-gqa', true],
  ['qwen2-gqa', true],
  ['gemma3-gqa', true],
  ['gpt2', true],
  ['phi3-gqa', true],
  // Its layers each read the length of the past off their own cache.
  ['llama-opset23', false],
] as const)('%s: a row is what the setting gives alone', async (name, cuts) => {
  const one = await model(name);
  const allowed = SETTINGS.filter((setting) => {
    try {
      setting?.kind.plan(one.attune.facts);
      return true;
    } catch {
      return false;
    }
  });
  expect(allowed.length).toBeGreaterThan(4);
  const expected = [];
  for (const setting of allowed) expected.push(await alone(one, setting));
  // Settings must differ, or their rows could be mixed up unseen.
  expect(new Set(expected.map((row) => row.flat().join())).size).toBe(allowed.length);
  expect(close(await swept(one, allowed), expected)).toBeLessThan(1e-5 * 8);
  expect(close(await swept(one, allowed, { cut: false, batchTokens: 30 }), expected)).toBeLessThan(1e-5 * 8);
  await using session = await SweepSession.open(one.attune.facts, zeroTuning({ gamma: 2 }), { layer: 1 });
  expect(session.cut).toBe(cuts);
});

test.each(['llama-eager', 'llama-gqa'])('%s: ACT looks at whole texts', async (name) => {
  const one = await model(name);
  const expected = [];
  for (const setting of ACT) expected.push(await alone(one, setting));
  expect(new Set(expected.map((row) => row.flat().join())).size).toBe(2);
  expect(close(await swept(one, ACT), expected)).toBeLessThan(8e-5);
});

test('what was measured is not measured again, whatever comes beside it', async () => {
  const one = await model('llama-gqa');
  const steps: number[] = [];
  await using sweep = new Sweep(one.attune.facts, { onProgress: ({ done }) => steps.push(done) });
  const some = await sweep.run(items, SETTINGS.slice(0, 3));
  expect(steps.at(-1)).toBe(6);
  steps.length = 0;
  const all = await sweep.run(items, SETTINGS);
  expect(steps.at(-1)).toBe(2 * (SETTINGS.length - 3));
  expect(all.slice(0, 3)).toEqual(some);
  steps.length = 0;
  expect(await sweep.run(items, SETTINGS)).toEqual(all);
  expect(steps).toEqual([]);
});

test('an aborted sweep says how far it came', async () => {
  const one = await model('llama-gqa');
  const stop = new AbortController();
  await using sweep = new Sweep(one.attune.facts, {
    signal: stop.signal,
    batchTokens: 16,
    onProgress: ({ done }) => done >= 4 && stop.abort(),
  });
  await expect(sweep.run(items, SETTINGS)).rejects.toThrow(/SWEEP_INTERRUPTED: found 4 of 18 measurements/);
});

test('heads that are not there, and kinds that depend on requests, are refused', async () => {
  const one = await model('llama-gqa');
  await using sweep = new Sweep(one.attune.facts);
  await expect(sweep.run(items, [zeroTuning({ gamma: 2, heads: [[0, 99]] })])).rejects.toThrow(
    /HEAD_OUT_OF_RANGE.*head 99 in layer 0/,
  );
  await expect(sweep.run(items, [eachRow([zeroTuning({ gamma: 2 })])])).rejects.toThrow(
    /SWEEP_NEEDS_REQUEST/,
  );
});
