/** Bounded caches in a model's own calls: what is evicted, what is hidden, what it may stand beside. */
import { Tensor } from '@huggingface/transformers';
import { afterAll, describe, expect, test } from 'vitest';
import { load, maxDifference, type TestModel } from '../hooks/model/attuned.test-support.ts';
import type { Intervention } from '../hooks/model/index.ts';
import { cases } from '../testbed/long.test-support.ts';
import { act, beamSearch, contrast, emphasis, headScale, opera, pine, zeroTuning } from './index.ts';
import { SCORE_NAMES } from './keep-cache/scores/index.ts';
import { keepCache } from './keep-cache.ts';

const models = new Map<string, Promise<TestModel>>();
afterAll(async () => {
  for (const model of models.values()) await (await model).dispose();
});
function loaded(name: string): Promise<TestModel> {
  const model = models.get(name) ?? load(name);
  models.set(name, model);
  return model;
}

type Given = Parameters<typeof keepCache>[0];

const ROWS = [
  Array.from({ length: 34 }, (_, i) => (i * 37 + 5) % 60),
  Array.from({ length: 34 }, (_, i) => (i < 5 ? -1 : (i * 17 + 3) % 60)),
];

const int64 = (values: readonly number[], dims: readonly number[]) =>
  new Tensor('int64', BigInt64Array.from(values, BigInt), [...dims]);

/** Logits of a stream in calls of so many tokens each; ids below 0 are padding. */
async function stream(model: TestModel, rows: readonly (readonly number[])[], calls: readonly number[]) {
  const found: Float32Array[] = [];
  let past: object | undefined;
  let from = 0;
  for (const S of calls) {
    const here = rows.map((row) => row.slice(from, from + S));
    from += S;
    const outputs = (await model({
      input_ids: int64(
        here.flat().map((id) => Math.max(id, 0)),
        [rows.length, S],
      ),
      attention_mask: int64(
        rows.flatMap((row) => row.slice(0, from).map((id) => (id < 0 ? 0 : 1))),
        [rows.length, from],
      ),
      ...(past && { past_key_values: past }),
    })) as unknown as Record<string, Tensor>;
    past = Object.fromEntries(
      Object.entries(outputs)
        .filter(([name]) => name.startsWith('present'))
        .map(([name, tensor]) => [name.replace('present', 'past_key_values'), tensor]),
    );
    const { dims, data } = outputs.logits as unknown as { dims: number[]; data: Float32Array };
    const V = dims[2]!;
    for (let b = 0; b < rows.length; b++) found.push(data.slice((b * S + S - 1) * V, (b + 1) * S * V));
  }
  return { logits: found, past: past as Record<string, Tensor> };
}

/** A prompt, then tokens one by one; where an operator takes several behind a cache, for one row, also those. */
const STEPS = [16, ...Array<number>(14).fill(1)];
const CHUNKS = [16, 1, 1, 1, 4, 1, 1, 1, 3, 1, 1, 1];

async function farthest(
  a: TestModel,
  one: Given,
  b: TestModel,
  other: Given,
  alone: boolean,
  beside: readonly Intervention[] = [],
  besideOther = beside,
) {
  const [rows, calls] = alone ? [ROWS.slice(0, 1), CHUNKS] : [ROWS, STEPS];
  const [x, y] = [
    await stream(a.with([...beside, keepCache(one)]), rows, calls),
    await stream(b.with([...besideOther, keepCache(other)]), rows, calls),
  ];
  const held = Object.values(x.past)[0]!.dims[2]!;
  expect(held, 'keys that are held').toBeLessThan(15);
  return Math.max(...x.logits.map((logits, i) => maxDifference(logits, y.logits[i]!)));
}

/** Exports that are given positions, and those that count places in the cache. */
const FED = [
  'llama-eager',
  'llama-sdpa',
  'llama-gqa-separate',
  'llama-mha',
  'llama-opset23',
  'llama-dynamo',
  'gpt-neox',
  'gptj',
  'phi3-eager',
  'qwen3-sdpa',
];
const COUNTED = ['llama-gqa', 'llama3-rope-gqa', 'phi3-gqa', 'qwen3-gqa', 'qwen2-gqa'];
const FORMS = [...FED, 'gpt2', ...COUNTED];

/** By default each export takes its turn with one score, one kind of positions and one number of rows; ATTUNE_LONG=10 takes all. */
const turn = (i: number, of: number) =>
  Array.from({ length: Math.min(of, cases(1)) }, (_, j) => (i + j) % of);

describe.each(FORMS.map((name, i) => ({ name, i })))('$name', ({ name, i }) => {
  test('what is evicted is as if it were hidden', async () => {
    const model = await loaded(name);
    const rows = name === 'llama-mha' ? [false] : turn(i, 2).map((alone) => alone === 1);
    const scores = turn(i, SCORE_NAMES.length).map((s) => SCORE_NAMES[s]!);
    const kinds = FED.includes(name) ? ['slots', 'true'] : ['true'];
    for (const score of scores) {
      for (const positions of turn(i >> 1, kinds.length).map((at) => kinds[at]!)) {
        const spec = { score, budget: 9, sinks: 2, recent: 2, every: 2, positions };
        for (const alone of rows) {
          const twin = { ...spec, hold: 'mask' };
          const off = await farthest(model, spec as Given, model, twin as Given, alone);
          expect(off, `${score}, ${positions}, ${alone ? 'alone' : 'batch'}`).toBeLessThan(1e-4);
        }
      }
    }
  }, 120_000);
});

/** Of one checkpoint: keys that are turned where they lie in one, and given other positions in the other. */
test.each([
  ['llama-eager', 'llama-gqa'],
  ['phi3-eager', 'phi3-gqa'],
])('%s and %s, renumbered or not', async (fed, counted) => {
  const [a, b] = [await loaded(fed), await loaded(counted)];
  for (const positions of ['slots', 'true'] as const) {
    const spec = { budget: 9, sinks: 2, every: 2, positions };
    for (const alone of [true, false]) {
      expect(await farthest(a, spec, b, spec, alone), positions).toBeLessThan(2e-4);
    }
  }
});

/** What a key gets by the map of the whole prompt, [K][T], over rows from `from` on. */
async function attentionOf(model: TestModel, ids: readonly number[], from: number) {
  const { cache } = await model.runWithCache(inputsOf(ids), 'blocks.1.attn.hook_pattern');
  const { dims, data } = cache.get('blocks.1.attn.hook_pattern')!;
  const [, H, S, T] = dims as [number, number, number, number];
  const K = 2;
  return Array.from({ length: K }, (_, k) =>
    Array.from({ length: T }, (_, t) => {
      let sum = 0;
      for (let h = (k * H) / K; h < ((k + 1) * H) / K; h++) {
        for (let s = from; s < S; s++) sum += data[(h * S + s) * T + t]!;
      }
      return sum;
    }),
  );
}

const inputsOf = (ids: readonly number[]) => ({
  input_ids: int64(ids, [1, ids.length]),
  attention_mask: int64(
    ids.map(() => 1),
    [1, ids.length],
  ),
});

const pooled = (row: readonly number[], width: number) =>
  row.map((_, n) => {
    const half = (width - 1) / 2;
    return row.slice(Math.max(0, n - half), n + half + 1).reduce((a, b) => a + b, 0);
  });

/** The largest `n` of columns 2 … T − 2, with two sinks and the two newest. */
const best = (row: readonly number[], n: number) => {
  const T = row.length;
  const middle = row.map((value, t) => [value, t] as const).slice(2, T - 2);
  const top = middle.sort(([a], [b]) => b - a).slice(0, n - 4);
  return [0, 1, ...top.map(([, t]) => t).sort((a, b) => a - b), T - 2, T - 1];
};

test.each(['llama-eager', 'llama-gqa'])('%s keeps what scores say, by its own map', async (name) => {
  const model = await loaded(name);
  const ids = ROWS[0]!.slice(0, 20);
  const [all, one, four] = [
    await attentionOf(model, ids, 0),
    await attentionOf(model, ids, 19),
    await attentionOf(model, ids, 16),
  ];
  const both = one[0]!.map((value, t) => value + one[1]![t]!);
  const expected = {
    h2o: all.map((row) => best(row, 9)),
    tova: [best(both, 9), best(both, 9)],
    snapkv: four.map((row) => best(pooled(row, 3), 9)),
    window: [
      [0, 1, ...ids.keys()].slice(0, 2).concat([13, 14, 15, 16, 17, 18, 19]),
      [0, 1, 13, 14, 15, 16, 17, 18, 19],
    ],
  };
  for (const [by, kept] of Object.entries(expected)) {
    const score = by === 'snapkv' ? { by, window: 4, pool: 3 } : by;
    const view = model.with([keepCache({ score, budget: 9, sinks: 2, recent: 2, every: 1 } as Given)]);
    await view(inputsOf(ids));
    const { dims, columns } = view.attune.request.cache!.kept;
    const [L, , K, N] = dims;
    const layer = columns.subarray((L - 1) * K * N);
    const heads = [0, 1].map((head) => [...layer.subarray((K - 1) * head * N, ((K - 1) * head + 1) * N)]);
    expect(heads, by).toEqual(kept);
  }
});

test.each(['llama-eager', 'llama-gqa'])('%s: a chat over turns', async (name) => {
  const model = await loaded(name);
  const spec = keepCache({ budget: 9, sinks: 2, every: 2 });
  const view = model.with([spec]);
  const greedy = { max_new_tokens: 8, do_sample: false, eos_token_id: null, return_dict_in_generate: true };
  type Written = { sequences: Tensor; past_key_values: object };
  const ids = (written: Written) => (written.sequences.tolist() as bigint[][])[0]!.map(Number);
  const streamed: number[] = [];
  const streamer = {
    put: (rows: bigint[][]) => void streamed.push(...rows[0]!.map(Number)),
    end: () => {},
  };
  const say = (text: readonly number[], past?: object) =>
    view.generate({
      ...inputsOf(text),
      ...greedy,
      streamer,
      past_key_values: past ?? null,
    }) as unknown as Promise<Written>;
  const first = await say(ROWS[0]!.slice(0, 14));
  const second = await say([...ids(first), ...ROWS[0]!.slice(0, 5)], first.past_key_values);
  expect(streamed.slice(14, 22)).toEqual(ids(first).slice(14));
  // The same calls by hand: the token that was written last comes with the next turn's.
  const all = ids(second);
  const calls = [14, 1, 1, 1, 1, 1, 1, 1, 6, 1, 1, 1, 1, 1, 1, 1];
  const { logits } = await stream(view, [all], calls);
  const told = logits.map((row) => row.indexOf(Math.max(...row)));
  expect(told).toEqual([...all.slice(14, 22), ...all.slice(27)]);
  expect(view.attune.request.cache!.kept.dims[3]).toBeLessThan(11);
  expect(view.attune.request.past).toBeGreaterThan(30);
  // Without it, and under another, the cache is refused.
  for (const other of [[], [keepCache({ budget: 10, sinks: 2, every: 2 })]]) {
    const text = inputsOf([...all, 3]);
    await expect(
      model.generate({ ...text, past_key_values: second.past_key_values, interventions: other } as object),
    ).rejects.toThrow('STATE_MISMATCH');
  }
});

describe('refused before anything runs', () => {
  test.each<[object, RegExp]>([
    [{ budget: 0 }, /keep-cache\.budget: found the number 0/],
    [{ budget: 4 }, /4 always stay/],
    [{ budget: 20, score: 'h2o' }, /20 always stay/],
    [{ budget: { share: 1 } }, /keep-cache\.budget\.share/],
    [{ budget: 9, score: 'h20' }, /"window" or "h2o" or "tova"/],
    [{ budget: 9, score: { by: 'snapkv', pool: 4 } }, /an odd number/],
    [{ budget: 9, when: 'before' }, /give every: 1/],
    [{ budget: 9, sink: 3 }, /Did you mean sinks/],
  ])('%o', (given, message) => {
    expect(() => keepCache(given as Given)).toThrow(message);
  });

  test('models whose caches cannot be shortened, or not so', async () => {
    for (const name of ['mistral-gqa', 'mistral-sdpa', 'gemma3-gqa', 'gemma2-eager']) {
      const model = await loaded(name);
      expect(() => model.use([keepCache({ budget: 9 })]), name).toThrow(
        /INTERVENTION_REFUSED.*sliding window/,
      );
    }
    const learned = await loaded('gpt2');
    expect(() => learned.use([keepCache({ budget: 9 })])).toThrow(/INTERVENTION_REFUSED.*not rotations/);
    learned.use([keepCache({ budget: 9, positions: 'true' })]);
    const counted = await loaded('llama-gqa');
    expect(() => counted.use([keepCache({ budget: 9, hold: 'mask' })])).toThrow('INTERVENTION_REFUSED');
    expect(() => counted.use([keepCache({ budget: 1000 })])).toThrow(/CACHE_BUDGET.*at most/);
  });

  test('what counts columns of a sequence, and what it may stand beside', async () => {
    const model = await loaded('llama-eager');
    const bounded = keepCache({ budget: 9 });
    for (const other of [
      act({ heads: 'all' }),
      pine({}),
      emphasis({ spans: [[2, 4]], heads: 'all' } as never),
      opera({}),
      beamSearch({ beams: 2 }),
    ]) {
      expect(() => model.use([other, bounded]), other.intervention).toThrow('INTERVENTION_CONFLICT');
    }
    const beyond = zeroTuning({ gamma: 2, tokens: [2, 6] });
    expect(() => model.use([beyond, bounded])).toThrow(
      /INTERVENTION_CONFLICT.*sinks is 4, and they end at 6/,
    );
    const spec: Given = { budget: 9, sinks: 2, every: 2, score: 'tova', recent: 2 };
    for (const other of [
      // A threshold of its own: α counts keys, hidden ones too.
      act({ heads: 'all', statistics: 'row', threshold: { tau: 0.15 } }),
      zeroTuning({ gamma: 1.4 }),
      headScale({ scale: 0.8 }),
      contrast({ without: [[2, 5]], alpha: 0.5 }),
    ]) {
      const off = await farthest(model, spec, model, { ...spec, hold: 'mask' }, true, [other]);
      expect(off, other.intervention).toBeLessThan(1e-4);
      const apart = await farthest(model, spec, model, { ...spec, hold: 'mask' }, true, [other], []);
      expect(apart, other.intervention).toBeGreaterThan(1e-3);
    }
  });

  test('a cache of unknown origin', async () => {
    const model = await loaded('llama-eager');
    const { past } = await stream(model, ROWS.slice(0, 1), [16]);
    const text = inputsOf(ROWS[0]!.slice(0, 17));
    await expect(
      model({
        ...text,
        input_ids: int64([3], [1, 1]),
        past_key_values: past,
        interventions: [keepCache({ budget: 9 })],
      } as object),
    ).rejects.toThrow(/STATE_MISMATCH.*unknown origin/);
  });
});

test('renumbered keys let a sequence go on beyond the context, in constant memory; true positions do not', async () => {
  const model = await loaded('llama-eager');
  const long = Array.from({ length: 200 }, (_, i) => (i * 31 + 7) % 60);
  const calls = [16, ...Array<number>(184).fill(1)];
  const { past, logits } = await stream(model.with([keepCache({ budget: 9, every: 4 })]), [long], calls);
  expect(Object.values(past)[0]!.dims[2]).toBeLessThan(13);
  expect(logits.at(-1)!.every(Number.isFinite)).toBe(true);
  const still = model.with([keepCache({ budget: 9, every: 4, positions: 'true' })]);
  await expect(stream(still, [long], calls)).rejects.toThrow('CONTEXT_EXCEEDED');
});
