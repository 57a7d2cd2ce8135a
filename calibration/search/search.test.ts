import { expect, test } from 'vitest';
import type { ModelFacts } from '../../hooks/model/index.ts';
import { readGoldenFolder } from '../../kernels/golden/folder.ts';
import { entropy } from '../sweep/distribution.ts';
import type { SweepSetting } from '../sweep/sweep.ts';
import { searchAct } from './act.ts';
import { typeHeads } from './head-types.ts';
import type { CalibrationItem, Value } from './objective.ts';
import { splitItems } from './split.ts';
import { searchZeroTuning } from './zerotuning.ts';

const golden = (await readGoldenFolder('testbed/golden')).filter(({ family }) => family === 'zerotuning');
const content = (kind: string) =>
  // biome-ignore lint/suspicious/noExplicitAny: the vectors' own layout, kind by kind
  golden.map((one) => one.content as any).find((one) => one.kind === kind);

test('golden zt-selection: types, dominant type, the top of it', () => {
  const { params, inputs, expected } = content('zerotuning_selection');
  const accuracies: number[] = Array.from(inputs.probe_accuracy.data);
  const typing = typeHeads(
    accuracies.map((accuracy) => accuracy - params.baseline),
    params.fraction,
  );
  expect(typing).toEqual({
    types: expected.types,
    dominant: expected.dominant,
    selected: Array.from(expected.selected_heads),
  });
});

test('golden zt-entropy: the search without labels takes the least mean entropy', () => {
  const { params, inputs, expected } = content('zerotuning_entropy');
  const [settings, prompts, V] = inputs.logits.shape as [number, number, number];
  const logits = Float32Array.from(inputs.logits.data);
  const means = Array.from({ length: settings }, (_, setting) => {
    const own = Array.from({ length: prompts }, (__, prompt) =>
      entropy(logits, (setting * prompts + prompt) * V, V),
    );
    own.forEach((value, prompt) => {
      expect(value).toBeCloseTo(expected.entropy.data[setting * prompts + prompt], 6);
    });
    return own.reduce((a, b) => a + b) / prompts;
  });
  means.forEach((mean, i) => {
    expect(mean).toBeCloseTo(expected.mean_entropy.data[i], 6);
  });
  expect(params.grid[means.indexOf(Math.min(...means))]).toBe(expected.best_gamma);
});

/** Three layers of four heads; nothing else of it is looked at. */
const facts = { decoder: [4, 4, 4].map((numHeads) => ({ numHeads })) } as unknown as ModelFacts;
type Specification = { gamma?: number; layers: number[]; heads: (number | [number, number])[] | 'all' };
const world = (value: (spec: Specification | undefined) => Partial<Value>) => {
  const asked: string[] = [];
  const evaluate = async (settings: readonly SweepSetting[], step: string): Promise<Value[]> => {
    asked.push(...settings.map(() => step));
    return settings.map((setting) => ({
      accuracy: 0.5,
      entropy: 1,
      ...value(setting?.spec as Specification | undefined),
    }));
  };
  const race = async (): Promise<never> => {
    throw new Error('nothing here is raced');
  };
  return { context: { facts, evaluate, race }, asked };
};
const has = ({ heads }: Specification, head: number) => heads === 'all' || (heads as number[]).includes(head);

test('a head that is helped by γ = 3 is found among others, with its γ', async () => {
  const { context, asked } = world((spec) => {
    if (!spec) return {};
    const strength = has(spec, 2) ? 0.3 - 0.1 * Math.abs(spec.gamma! - 3) : 0;
    return { accuracy: 0.5 + strength - (has(spec, 0) ? 0.01 : 0) };
  });
  const result = await searchZeroTuning(context, 'accuracy');
  expect(result.found).toBe(true);
  expect(result.intervention.spec).toMatchObject({ gamma: 3, heads: [2], layers: [0, 1, 2] });
  expect(result.trace.filter(({ step }) => step === 'probe').map(({ type }) => type)).toEqual([
    'down',
    'neutral',
    'up',
    'neutral',
  ]);
  expect(asked).toEqual(['baseline', ...Array(4).fill('probe'), ...Array(6).fill('grid')]);
});

test('heads that suffer from the probe are searched below 1, without labels too', async () => {
  const { context } = world((spec) => {
    if (!spec) return { accuracy: null };
    const touched = [1, 3].filter((head) => has(spec, head)).length;
    return { accuracy: null, entropy: 1 + touched * (spec.gamma! > 1 ? 0.2 : -0.1 * (1 - spec.gamma!)) };
  });
  const { intervention, trace } = await searchZeroTuning(context, 'entropy', { down: [0.5, 0.9] });
  expect(intervention.spec).toMatchObject({ gamma: 0.5, heads: [1, 3] });
  expect(trace.at(-1)).toMatchObject({ step: 'grid', spec: { gamma: 0.9 }, accuracy: null });
});

test('units: single heads, whole layers, thirds of the layers', async () => {
  const planted = (spec: Specification | undefined) => {
    if (!spec) return {};
    const inside = spec.layers.includes(1) && spec.layers.length < 3;
    return { accuracy: 0.5 + (inside ? 0.2 : 0.1) };
  };
  const pairs = await searchZeroTuning(world(planted).context, 'accuracy', {
    unit: 'layer-head',
    fraction: 0.1,
  });
  expect(pairs.intervention.spec).toMatchObject({
    layers: [1],
    heads: [
      [1, 0],
      [1, 1],
    ],
  });
  const layers = await searchZeroTuning(world(planted).context, 'accuracy', { unit: 'layer', fraction: 0.3 });
  expect(layers.intervention.spec).toMatchObject({ layers: [1], heads: 'all' });
  const thirds = await searchZeroTuning(world(planted).context, 'accuracy', { groups: 'thirds' });
  expect(thirds.intervention.spec).toMatchObject({ layers: [1], gamma: 1.5 });
});

test('where nothing helps, the choice is γ = 1, and equals take the γ nearest to 1', async () => {
  const none = await searchZeroTuning(world(() => ({})).context, 'accuracy');
  expect([none.found, none.intervention.spec.gamma]).toEqual([false, 1]);
  const worse = await searchZeroTuning(
    world((spec) => ({ accuracy: spec && has(spec, 1) ? (spec.gamma === 2 ? 0.6 : 0.4) : 0.5 })).context,
    'accuracy',
    { up: [4, 3] },
  );
  expect(worse.found).toBe(false);
  const equal = await searchZeroTuning(
    world((spec) => ({ accuracy: spec ? 0.6 : 0.5 })).context,
    'accuracy',
    { up: [4, 2, 3] },
  );
  expect(equal.intervention.spec.gamma).toBe(2);
});

test('ACT keeps the heads that gain alone, above the margin, from layer 2 on', async () => {
  const gains: Record<string, number> = { '2,0': 0.02, '2,1': -0.1, '2,3': 0.005, '0,0': 0.3 };
  const value = (spec: Specification | undefined) => ({
    accuracy: 0.5 + (spec && spec.heads !== 'all' ? (gains[`${spec.heads[0]}`] ?? 0) : 0),
  });
  const { context, asked } = world(value);
  const found = await searchAct(context);
  expect(found.intervention.spec).toMatchObject({
    heads: [
      [2, 0],
      [2, 3],
    ],
    beta: 0.4,
  });
  expect(asked).toEqual(['baseline', ...Array(4).fill('heads'), 'together']);
  const strict = await searchAct(world(value).context, { margin: 0.01, layers: [0, 2] });
  expect(strict.intervention.spec).toMatchObject({
    heads: [
      [0, 0],
      [2, 0],
    ],
  });
  const nothing = await searchAct(world(() => ({})).context);
  expect([nothing.found, nothing.intervention.spec.beta]).toEqual([false, 1]);
});

test('ACT by halving: heads that were dropped, or gain less than their error, are not kept', async () => {
  const { context } = world(() => ({}));
  // Heads of layer 2, the only layer tried: dropped, kept, within its error, worse.
  const raced = [
    { items: 8, gain: 9, error: 0.1 },
    { items: 32, gain: 0.3, error: 0.1 },
    { items: 32, gain: 0.3, error: 0.4 },
    { items: 32, gain: -1, error: 0.1 },
  ];
  const race = async (settings: readonly SweepSetting[], halvings: number) => {
    expect([settings.length, halvings]).toEqual([4, 2]);
    return raced;
  };
  const { intervention, trace } = await searchAct({ ...context, race }, { halvings: 2 });
  expect(intervention.spec).toMatchObject({ heads: [[2, 1]], beta: 0.4 });
  expect(trace.filter(({ step }) => step === 'head')).toMatchObject(raced);
  const none = await searchAct(
    { ...context, race: async () => [raced[0]!, ...raced.slice(2), raced[3]!] },
    { halvings: 2 },
  );
  expect(none.found).toBe(false);
});

test.each([
  [{ probe: Number.NaN }, /SPEC_INVALID.*zerotuning\.probe/],
  [{ up: [0.5] }, /SPEC_INVALID.*zerotuning\.up/],
  [{ fraction: 0 }, /SPEC_INVALID.*fraction/],
  [{ layers: [7] }, /LAYER_OUT_OF_RANGE.*layer 7.*0 to 2/],
])('%j is refused', async (options, message) => {
  await expect(searchZeroTuning(world(() => ({})).context, 'accuracy', options)).rejects.toThrow(message);
});

const many = (n: number, cluster: (i: number) => string | undefined, dataset = 'd'): CalibrationItem[] =>
  Array.from({ length: n }, (_, i) => ({ id: `${dataset}${i}`, dataset, requests: [], cluster: cluster(i) }));

test('search and report share no cluster, whatever the seed', () => {
  const items = [...many(100, (i) => `c${i >> 2}`), ...many(60, () => undefined, 'e')];
  const splits = [0, 1].map((seed) => splitItems(items, { samples: 30, heldOut: 40, seed }));
  for (const { search, heldOut } of splits) {
    const clusters = new Set(search.map(({ cluster, id }) => cluster ?? id));
    expect(heldOut.filter(({ cluster, id }) => clusters.has(cluster ?? id))).toEqual([]);
    const count = (side: readonly CalibrationItem[], name: string) =>
      side.filter(({ dataset }) => dataset === name).length;
    expect([count(search, 'd'), count(search, 'e')]).toEqual([32, 30]);
    expect([count(heldOut, 'd'), count(heldOut, 'e')]).toEqual([40, 30]);
  }
  expect(splits[0]!.search.map(({ id }) => id)).not.toEqual(splits[1]!.search.map(({ id }) => id));
  const grown = splitItems(items, { samples: 50, heldOut: 12, seed: 0 });
  const ids = new Set(grown.search.map(({ id }) => id));
  expect(splits[0]!.search.every(({ id }) => ids.has(id))).toBe(true);
});

test.each([
  [many(0, () => undefined), 20, /CALIBRATION_TOO_FEW.*no items/],
  [many(25, () => undefined), 20, /CALIBRATION_TOO_FEW.*25 items in 25 clusters.*20 to search on/],
  [many(100, () => 'one'), 20, /CALIBRATION_TOO_FEW.*in 1 clusters/],
  [many(100, () => undefined), 3, /CALIBRATION_TOO_FEW.*search on 3 items.*at least 10/],
])('too few items', (items, samples, message) => {
  expect(() => splitItems(items, { samples, heldOut: 500, seed: 0 })).toThrow(message);
});
