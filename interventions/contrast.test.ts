/** Contrasts against both streams run by hand on the untouched model, and their arithmetic in float64. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  batch,
  FORMS,
  load,
  logits,
  maxDifference,
  plainLogits,
  prompt,
  type TestModel,
} from '../hooks/model/attuned.test-support.ts';
import { combine, entropyOf } from './combine.ts';
import { beamSearch, contrast, headAblation, interventionFromJSON } from './index.ts';
import {
  expectCachedAsRecomputed,
  expectRowsAsAlone,
  expectSameOnWasm,
  lastOf,
} from './method-checks.test-support.ts';

const without: [number, number][] = [
  [1, 3],
  [3, 4],
];
const heads: [number, number][] = [
  [0, 1],
  [1, 2],
];
const bare = (ids: readonly number[], instead: readonly number[] = []) => [
  ids[0]!,
  ...instead,
  ...ids.slice(4),
];

/** (1 + α) l − α l', cut at β, in float64. */
function byHand(first: Float32Array, second: Float32Array, alpha: number, beta: number): number[] {
  const most = Math.max(...first);
  return [...first].map((l, v) =>
    Math.exp(l - most) < beta ? Number.NEGATIVE_INFINITY : (1 + alpha) * l - alpha * second[v]!,
  );
}

/** −Σ p ln p, term by term. */
function entropy(row: Float32Array): number {
  const sum = row.reduce((total, l) => total + Math.exp(l), 0);
  return row.reduce((total, l) => total - (Math.exp(l) / sum) * Math.log(Math.exp(l) / sum), 0);
}

describe.each(FORMS)('%s', (form) => {
  let model: TestModel;
  let plain: TestModel;
  beforeAll(async () => {
    [model, plain] = [await load(form), await load(form)];
  });
  afterAll(async () => {
    await model.dispose();
    await plain.dispose();
  });

  const streams = {
    'without its documents': {
      made: contrast({ without, alpha: 0.5 }),
      second: (ids: readonly number[]) => bare(ids),
      alpha: () => 0.5,
      beta: 0,
    },
    'with a negative text, cut': {
      made: contrast({ without, instead: [9, 8, 7], alpha: 2, beta: 0.05 }),
      second: (ids: readonly number[]) => bare(ids, [9, 8, 7]),
      alpha: () => 2,
      beta: 0.05,
    },
    'without retrieval heads, by entropy': {
      made: contrast({ heads, alpha: 'entropy', most: 3 }),
      second: (ids: readonly number[]) => ids,
      alpha: (first: Float32Array) => Math.min(entropy(first), 3),
      beta: 0,
    },
  };

  test.each(Object.entries(streams))(
    '%s: 12 greedy tokens as by hand',
    async (name, { made, second, alpha, beta }) => {
      const sequence = [...prompt];
      for (let i = 0; i < 12; i++) {
        plain.use([]);
        const first = lastOf(await logits(plain, batch(sequence)), 1, sequence.length);
        const rest = second(sequence);
        if (name.includes('heads')) plain.use([headAblation({ heads, kind: 'zero' })]);
        const other = lastOf(await logits(plain, batch(rest)), 1, rest.length);
        const scores = byHand(first, other, alpha(first), beta);
        sequence.push(scores.indexOf(Math.max(...scores)));
      }
      model.use([made]);
      const written = await model.generate({ ...batch(prompt), max_new_tokens: 12, eos_token_id: null });
      expect((written.tolist() as bigint[][])[0]!.map(Number)).toEqual(sequence);
      model.use([]);
      const untouched = await model.generate({ ...batch(prompt), max_new_tokens: 12, eos_token_id: null });
      expect(untouched.tolist()).not.toEqual(written.tolist());
    },
  );

  test('α = 0 is bit-exact', async () => {
    const inputs = batch(prompt);
    const wanted = await plainLogits(form, inputs);
    for (const made of [
      contrast({ without, alpha: 0 }),
      contrast({ heads, alpha: 0 }),
      contrast({ heads, alpha: 'entropy', most: 0 }),
    ]) {
      model.use([made]);
      expect(await logits(model, inputs)).toEqual(wanted);
    }
    model.use([contrast({ without })]);
    expect(maxDifference(await logits(model, inputs), wanted)).toBeGreaterThan(0.05);
  });

  test('cached = recomputed, batch = single, padded = unpadded', async () => {
    await expectCachedAsRecomputed(model, contrast({ without, instead: [5] }));
    await expectCachedAsRecomputed(model, contrast({ heads, alpha: 'entropy' }));
    const own: [number, number][][] = [[[1, 3]], [], [[2, 4]]];
    await expectRowsAsAlone(model, (row) => contrast({ without: row === undefined ? own : [own[row]!] }));
    await expectRowsAsAlone(model, () => contrast({ heads }));
  });
});

test('wasm = CPU', () => expectSameOnWasm('llama-gqa', contrast({ without, alpha: 1 })));

test('the arithmetic: fixed, by entropy, as log-probabilities', () => {
  const [first, second] = [Float32Array.of(1, 3, -2, 0.5), Float32Array.of(0, 3.5, -1, 1)];
  const run = (settings: Parameters<typeof combine>[2]) => {
    const result = first.slice();
    combine(result, second, settings);
    return result;
  };
  expect(maxDifference(run({ alpha: 0.7, beta: 0 }), byHand(first, second, 0.7, 0))).toBeLessThan(1e-6);
  expect(run({ alpha: 0.7, beta: 0.1 })[2]).toBe(Number.NEGATIVE_INFINITY);
  expect(entropyOf(first)).toBeCloseTo(entropy(first), 6);
  expect(
    maxDifference(run({ alpha: 'entropy', beta: 0 }), byHand(first, second, entropy(first), 0)),
  ).toBeLessThan(1e-6);
  const z = (row: Float32Array) => Math.log(row.reduce((sum, l) => sum + Math.exp(l), 0));
  const wanted = byHand(
    first.map((l) => l - z(first)),
    second.map((l) => l - z(second)),
    0.7,
    0,
  );
  expect(maxDifference(run({ alpha: 0.7, beta: 0, normalised: true }), wanted)).toBeLessThan(1e-5);
  expect(entropyOf(Float32Array.of(0, Number.NEGATIVE_INFINITY))).toBe(0);
});

test('what cannot be contrasted is refused', async () => {
  const model = await load('llama-gqa');
  expect(() => contrast({})).toThrow(/SPEC_INVALID.*contrast\.without.*nothing to contrast with/);
  expect(() => contrast({ heads, instead: [3] })).toThrow(/SPEC_INVALID.*contrast\.instead/);
  expect(() => contrast({ heads, most: 3 })).toThrow(/SPEC_INVALID.*contrast\.most/);
  expect(() => model.use([contrast({ heads }), beamSearch({ beams: 2 })])).toThrow(
    /INTERVENTION_CONFLICT.*contrast/,
  );
  const refused = async (parameters: object, message: RegExp) => {
    model.use([contrast(parameters)]);
    await expect(model(batch(prompt))).rejects.toThrow(message);
  };
  await refused({ without: [[2, 40]] }, /SPANS_INVALID.*contrast, row 0.*\[2, 40\)/);
  await refused({ without: [[0, prompt.length]] }, /SPANS_INVALID.*no token left/);
  await refused({ heads: [[0, 9]] }, /HEAD_OUT_OF_RANGE.*head 9/);
  await refused({ without, instead: new Array(3000).fill(5) }, /CONTEXT_EXCEEDED.*tokens/);
  await model.dispose();
});

test('its JSON gives the same specification back', () => {
  const made = contrast({ without: { find: [[4]] }, heads, alpha: 'entropy' });
  expect(interventionFromJSON(JSON.parse(JSON.stringify(made))).hash).toBe(made.hash);
});
