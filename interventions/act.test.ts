/**
 * ACT against its definition in both graph forms. The first layer's map is the same with and without calibration, so
 * the float64 primitives of kernels/ say from the plain map what the calibrated one has to be, call by call.
 */
import { Tensor } from '@huggingface/transformers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  activation,
  batch,
  FORMS,
  load,
  logits,
  maxDifference,
  plainLogits,
  prompt,
  type TestModel,
} from '../hooks/model/attuned.test-support.ts';
import { calibrationRule, rowSinks, sinkGroups, sinksOf } from '../kernels/edits/sink-calibration/solve.ts';
import {
  build,
  type ColumnState,
  columnScore,
  columnStatistics,
  probTransfer,
  type Tensor as Reference,
  tensor,
  visibility,
} from '../kernels/reference/index.ts';
import { act, eachRow, headScale, tempScale, zeroTuning } from './index.ts';

const PATTERN = 'blocks.0.attn.hook_pattern';
const HEADS = [0, 2, 3];
const BETA = 0.3;
type Given = { tau: number } | { alpha: number };
const thresholds: readonly Given[] = [{ tau: 0.12 }, { alpha: 2 }];
const kinds = ['running', 'frozen', 'row'] as const;
type Kind = (typeof kinds)[number];

const limitOf =
  (threshold: Given) =>
  (_b: number, _h: number, N: number): number =>
    'tau' in threshold ? threshold.tau : threshold.alpha / N;

/** Calibrated maps of consecutive calls, from the map of the whole sequence; `first` as in a left-padded batch. */
function* oracle(
  whole: Reference,
  calls: readonly number[],
  options: { kind: Kind; threshold: Given; exclude?: 'initial' | 'first_detected'; first?: number[] },
): Generator<Reference> {
  const [B, H] = whole.shape as [number, number];
  const { kind, threshold, exclude = 'initial', first = Array<number>(B).fill(0) } = options;
  let before: ColumnState | undefined;
  let kept: Reference | undefined;
  let T = 0;
  for (const S of calls) {
    const past = T;
    T += S;
    const keys = build([B, T], (b, t) => Number(t! >= first[b]!));
    const visible = visibility([B, S, T], { keys });
    const probs = build([B, H, S, T], (b, h, s, t) => {
      const real = past + s! >= first[b]! && t! >= first[b]!;
      return real ? whole.data[((b! * H + h!) * whole.shape[2]! + past + s!) * whole.shape[3]! + t!]! : 0;
    });
    const sinkOptions = { limit: limitOf(threshold), exclude, first: tensor([B], first) };
    const N = first.map((pads) => T - pads);
    before = columnStatistics(probs, visible, kind === 'running' ? before : undefined);
    if (kind === 'row') kept = rowSinks(probs, visible, sinkOptions);
    else if (kind === 'running' || !kept) kept = sinksOf(columnScore(before), before.count, N, sinkOptions);
    const known = kept;
    const sinks =
      kind === 'frozen'
        ? build([B, H, T], (b, h, t) => {
            const width = known.shape[2]!;
            return t! < width ? known.data[(b! * H + h!) * width + t!]! : 0;
          })
        : known;
    const rule = calibrationRule((_b, h) => (HEADS.includes(h) ? BETA : 1));
    yield probTransfer(probs, sinkGroups(sinks), 2, rule).probs;
  }
}

const reference = ({ dims, data }: { dims: readonly number[]; data: Float32Array }) => tensor(dims, data);

/** Largest difference where the expected map has weight: rows of padding have none. */
function worst(actual: Float32Array, expected: Reference): number {
  expect(actual.length).toBe(expected.data.length);
  return expected.data.reduce((most, value, i) => {
    return value === 0 ? most : Math.max(most, Math.abs(value - actual[i]!));
  }, 0);
}

/** Pieces of the prompt, each with the cache of the one before. */
async function* calls(model: TestModel, ids: readonly number[], sizes: readonly number[]) {
  let past: object | undefined;
  let T = 0;
  for (const S of sizes) {
    const { input_ids } = batch(ids.slice(T, T + S));
    T += S;
    const attention_mask = new Tensor('int64', new BigInt64Array(T).fill(1n), [1, T]);
    const inputs = { input_ids, attention_mask, ...(past && { past_key_values: past }) };
    const { output, cache } = await model.runWithCache(inputs, PATTERN);
    past = cacheOf(output);
    yield { pattern: cache.get(PATTERN)!, logits: (output.logits as Tensor).data as Float32Array, past };
  }
}

function cacheOf(output: Record<string, unknown>): object {
  const names = Object.keys(output).filter((name) => name.startsWith('present'));
  return Object.fromEntries(names.map((name) => [name.replace('present', 'past_key_values'), output[name]]));
}

describe.each(FORMS)('%s', (form) => {
  let model: TestModel;
  beforeAll(async () => {
    model = await load(form, { prepare: [act.kind] });
  });
  afterAll(async () => {
    await model.dispose();
  });

  test.each(kinds.flatMap((kind) => thresholds.map((threshold) => ({ kind, threshold }))))(
    'the map of a left-padded batch: $kind, $threshold',
    async ({ kind, threshold }) => {
      const first = [0, 3];
      const inputs = batch(prompt, prompt.slice(3));
      model.use([]);
      const plain = await activation(model, inputs, PATTERN);
      model.use([act({ beta: BETA, heads: HEADS, threshold, statistics: kind })]);
      const edited = await activation(model, inputs, PATTERN);
      const options = { kind, threshold: threshold, first };
      const [expected] = [...oracle(reference(plain), [prompt.length], options)];
      expect(worst(edited.data, expected!)).toBeLessThan(1e-6);
      expect(maxDifference(edited.data, plain.data)).toBeGreaterThan(0.01);
      const T = prompt.length;
      for (let row = 0; row < edited.data.length; row += T) {
        const isReal = row < edited.data.length / 2 || (row / T) % T >= first[1]!;
        const sum = edited.data.subarray(row, row + T).reduce((a, b) => a + b, 0);
        if (isReal) expect(Math.abs(sum - 1)).toBeLessThan(1e-5);
      }
    },
  );

  test.each(kinds)('statistics over calls: %s', async (kind) => {
    const sizes = [9, 1, 4, 1, 1];
    const ids = [...prompt, ...prompt.map((id) => (id * 7 + 3) % 60)].slice(0, 16);
    const threshold = { alpha: 2 };
    model.use([]);
    const plain = reference(await activation(model, batch(ids), PATTERN));
    model.use([act({ beta: BETA, heads: HEADS, threshold, statistics: kind })]);
    const expected = [...oracle(plain, sizes, { kind, threshold: threshold })];
    const others = kinds.filter((other) => other !== kind);
    for (const other of others) {
      const last = [...oracle(plain, sizes, { kind: other, threshold: threshold })].at(-1)!;
      expect(maxDifference(last.data, expected.at(-1)!.data), `${kind} and ${other}`).toBeGreaterThan(0.01);
    }
    for await (const { pattern } of calls(model, ids, sizes)) {
      expect(worst(pattern.data, expected.shift()!)).toBeLessThan(1e-5);
    }
    expect(expected).toEqual([]);
  });

  test('the first sink found may be spared instead of the first token', async () => {
    model.use([]);
    const plain = reference(await activation(model, batch(prompt), PATTERN));
    const threshold = { tau: 0.12 };
    model.use([act({ beta: BETA, heads: HEADS, threshold, exclude: 'first_detected' })]);
    const edited = await activation(model, batch(prompt), PATTERN);
    const options = { kind: 'running', threshold: threshold, exclude: 'first_detected' } as const;
    const [expected] = [...oracle(plain, [prompt.length], options)];
    expect(worst(edited.data, expected!)).toBeLessThan(1e-6);
  });

  test('compiled in and off, or with β = 1, it changes no bit, layer by layer', async () => {
    const before = await plainLogits(form, batch(prompt));
    model.use([]);
    expect(await logits(model, batch(prompt))).toEqual(before);
    model.use([act({ beta: 1, heads: 'all' })]);
    expect(await logits(model, batch(prompt))).toEqual(before);
    model.use([act({ heads: [[1, 0]], threshold: { tau: 0.1 } })]);
    expect(maxDifference(await logits(model, batch(prompt)), before)).toBeGreaterThan(0.01);
    const pattern = await activation(model, batch(prompt), PATTERN);
    model.use([]);
    expect(maxDifference((await activation(model, batch(prompt), PATTERN)).data, pattern.data)).toBe(0);
  });

  test('reading the map changes no logit', async () => {
    model.use([act({ heads: 'all', threshold: { tau: 0.12 } })]);
    const plain = await logits(model, batch(prompt));
    const { output } = await model.runWithCache(batch(prompt), '**.hook_pattern');
    expect(maxDifference((output.logits as Tensor).data as Float32Array, plain)).toBe(0);
  });

  test('a setting per row', async () => {
    const rows = [
      act({ heads: [0, 1], threshold: { tau: 0.12 } }),
      act({ heads: [[1, 3]], beta: 0.1, threshold: { alpha: 2 } }),
      act({ heads: 'all', beta: 1 }),
    ];
    model.use([eachRow(rows)]);
    const together = await logits(model, batch(prompt, prompt, prompt));
    for (const [row, one] of rows.entries()) {
      model.use([one]);
      const alone = await logits(model, batch(prompt));
      const own = together.subarray(row * alone.length, (row + 1) * alone.length);
      expect(maxDifference(own, alone)).toBeLessThan(1e-5);
    }
    expect(() => eachRow([rows[0]!, act({ heads: [0], statistics: 'row' })])).toThrow(
      /ROWS_DIFFER.*running.*row/,
    );
  });

  test('a cache belongs to the settings it was made under', async () => {
    const next = async (past: object) => {
      const { input_ids } = batch([5]);
      const T = prompt.length + 1;
      const attention_mask = new Tensor('int64', new BigInt64Array(T).fill(1n), [1, T]);
      return model({ input_ids, attention_mask, past_key_values: past } as object);
    };
    const ours = act({ heads: HEADS, threshold: { tau: 0.12 } });
    model.use([]);
    const untouched = cacheOf((await model(batch(prompt))) as never);
    await next(untouched);
    model.use([ours]);
    await expect(next(untouched)).rejects.toThrow(/STATE_MISMATCH.*unknown origin/);
    const own = cacheOf((await model(batch(prompt))) as never);
    const once = (await next(own)).logits.data;
    expect((await next(own)).logits.data).toEqual(once);
    model.use([act({ heads: [1], threshold: { tau: 0.12 } })]);
    await expect(next(own)).rejects.toThrow(/STATE_MISMATCH.*under act/);
    model.use([]);
    await next(own);
    model.use([ours, headScale({ scale: 1 })]);
    expect((await next(own)).logits.data).toEqual(once);
  });
});

test('both forms agree, also with other interventions, alone and in a left-padded batch', async () => {
  const others = [
    zeroTuning({ gamma: 1.5 }),
    tempScale({ temperature: 0.9 }),
    headScale({ scale: 1.2, heads: [1] }),
  ];
  for (const statistics of kinds) {
    const ours = act({ heads: 'all', threshold: { alpha: 2 }, statistics });
    const results: Float32Array[] = [];
    for (const form of FORMS) {
      const model = await load(form, { interventions: [ours, ...others] });
      const alone = await logits(model, batch(prompt.slice(3)));
      const together = await logits(model, batch(prompt, prompt.slice(3)));
      expect(maxDifference(together.slice(-alone.length), alone)).toBeLessThan(1e-4);
      results.push(together.slice(0, together.length / 2), alone);
      await model.dispose();
    }
    expect(maxDifference(results[0]!, results[2]!)).toBeLessThan(1e-4);
    expect(maxDifference(results[1]!, results[3]!)).toBeLessThan(1e-4);
  }
});

test.each([
  [{ heads: [0], beta: 1.5 }, /act\.beta/],
  [{ heads: [0], threshold: { tau: 0.1, alpha: 5 } }, /act\.threshold/],
  [{ heads: [0], threshold: { tau: -1 } }, /act\.threshold/],
  [{ heads: [0], statistics: 'chunk' }, /act\.statistics/],
  [{}, /act\.heads/],
])('%j is refused', (parameters, message) => {
  expect(() => act(parameters as never)).toThrow(message);
});

test('its JSON gives the same specification back, defaults as in the paper', () => {
  const made = act({ heads: [[2, 5]] });
  expect(made.spec).toMatchObject({ beta: 0.4, threshold: { alpha: 5 }, statistics: 'running' });
  const { intervention, ...parameters } = made.toJSON();
  expect(intervention).toBe('act');
  expect(act(parameters as never).hash).toBe(made.hash);
});
