/** Prompts and pictures that settings run alike: run once, with the same bits as if each were alone. */
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import type { Item } from '../outputs/index.ts';
import { scoreItem } from '../outputs/score-item.ts';
import { builtinTasks } from '../tasks/builtin/index.ts';
import { loadItems } from '../tasks/items.ts';
import { KeptRuns } from './kept-runs.ts';
import { type EvalModel, loadEvalModel, readIntervention } from './load.ts';

const WORLDS = fileURLToPath(new URL('../../testbed/models/worlds-vlm', import.meta.url));

async function items(name: string, limit: number): Promise<Item[]> {
  return (await loadItems(builtinTasks.get(name)!, { root: '', limit })).items;
}

type Specification = Record<string, unknown>;

async function score(model: EvalModel, specification: Specification | undefined, item: Item) {
  await model.use(specification ? [readIntervention(specification)] : []);
  const { cost, ...score } = await scoreItem(model.language, item, ['acc']);
  return { score, cost };
}

/** Each setting with a model of its own, which has nothing to take over. */
async function alone(specifications: readonly (Specification | undefined)[], item: Item) {
  const scores = [];
  for (const specification of specifications) {
    const model = await loadEvalModel(WORLDS);
    scores.push(await score(model, specification, item));
    await model.dispose();
  }
  return scores;
}

const CONTRASTS = [
  { intervention: 'vcd', alpha: 1 },
  { intervention: 'vcd', alpha: 0.5, beta: 0 },
];
const SEARCHES = [
  { intervention: 'beam-search', beams: 3 },
  { intervention: 'opera', beams: 2, candidates: 2 },
];

test('scores: contrasts take the prompt over, to the bit; what edits a layer takes the picture alone', async () => {
  const [warm, item] = await items('worlds-existence-random', 2);
  const settings = [undefined, ...CONTRASTS, { intervention: 'zerotuning', gamma: 1.4 }];
  const expected = await alone(settings, item!);
  const model = await loadEvalModel(WORLDS);
  for (const setting of settings) await score(model, setting, warm!);
  const scored = [];
  for (const setting of settings) scored.push(await score(model, setting, item!));
  await model.dispose();

  expect(scored.map((one) => one.score)).toEqual(expected.map((one) => one.score));
  expect(scored[1]!.score).not.toEqual(scored[0]!.score);
  // A setting is charged for all that it needs; here all of a contrast's first stream is its prompt.
  for (const [i, { cost }] of scored.entries()) expect(cost.tokens).toBe(expected[i]!.cost.tokens);
  const [plain, first, second, edited] = scored.map(({ cost }) => cost);
  expect(plain!.reusedTokens).toBe(0);
  expect(first!.reusedTokens).toBe(plain!.tokens);
  // The noised stream as well.
  expect(second!.reusedTokens).toBe(2 * plain!.tokens);
  expect(edited!.reusedTokens).toBe(0);
  expect(edited!.reusedMs).toBeGreaterThan(0);
  for (const { reusedMs, ms } of [first!, second!, edited!]) expect(reusedMs).toBeLessThan(ms);
}, 120_000);

test('writing: searches take the prompt over and write the same', async () => {
  const [warm, item] = await items('worlds-existence-random-written', 2);
  const expected = await alone(SEARCHES, item!);
  const model = await loadEvalModel(WORLDS);
  for (const setting of [undefined, ...SEARCHES]) await score(model, setting, warm!);
  const plain = await score(model, undefined, item!);
  for (const [i, setting] of SEARCHES.entries()) {
    const { score: own, cost } = await score(model, setting, item!);
    expect(own).toEqual(expected[i]!.score);
    expect(cost.tokens).toBe(expected[i]!.cost.tokens);
    expect(cost.reusedTokens).toBe(plain.cost.tokens - plain.cost.decodedTokens);
  }
  await model.dispose();
}, 120_000);

const tensor = (...values: number[]) => ({
  type: 'float32',
  dims: [1, values.length],
  data: Float32Array.from(values),
});

test('a run is taken over for equal bytes alone, and the oldest make room', async () => {
  const kept = new KeptRuns();
  kept.prompts = true;
  let runs = 0;
  const run = (feed: ReturnType<typeof tensor>, session = 'decoder') =>
    kept.around(session, { input_ids: feed }, async () => ({ logits: tensor(++runs) }));
  const number = async (...of: Parameters<typeof run>) =>
    ((await run(...of)).logits!.data as Float32Array)[0];
  expect(await number(tensor(1, 2))).toBe(1);
  expect(await number(tensor(1, 2))).toBe(1);
  expect(kept.take()).toMatchObject({ reusedTokens: 2 });
  expect(kept.take()).toEqual({ reusedTokens: 0, reusedMs: 0 });
  expect(await number(tensor(1, 3))).toBe(2);
  expect(await number({ ...tensor(1, 2), dims: [2, 1] })).toBe(3);
  expect(await number(tensor(1, 2), 'vision_encoder')).toBe(4);
  // Two have come since.
  expect(await number(tensor(1, 2))).toBe(5);
});

test('what a caller does to its outputs does not reach the next one', async () => {
  const kept = new KeptRuns();
  const run = () =>
    kept.around('vision_encoder', { pixel_values: tensor(1) }, async () => ({ image: tensor(7) }));
  const outputs = (await run()) as Record<string, unknown>;
  outputs.image = 'wrapped';
  expect((await run()).image).toEqual(tensor(7));
});
