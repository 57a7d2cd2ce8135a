/** The evaluated model on a fixture: what is not edited stays so, and what can be shared is. */
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type EvalModel, loadEvalModel, readIntervention } from './load.ts';

let model: EvalModel;
beforeAll(async () => {
  model = await loadEvalModel(fileURLToPath(new URL('../../testbed/fixtures/llama-gqa', import.meta.url)));
});
afterAll(() => model.dispose());

const act = (statistics: string) =>
  readIntervention({ intervention: 'act', heads: 'all', threshold: { alpha: 0.5 }, statistics });
const zeroTuning = (gamma: number) => readIntervention({ intervention: 'zerotuning', gamma });

async function score(...interventions: ReturnType<typeof act>[]) {
  await model.use(interventions);
  const context = model.language.encode('the cat sat on the mat and the dog ran away from');
  const requests = ['the old house', 'a stone', 'the sea'].map((text) => ({
    context,
    continuation: model.language.encode(` ${text}`, { specialTokens: false }),
  }));
  const { scores, cost } = await model.language.logLikelihoods(requests);
  return { values: scores.map(({ logLikelihood }) => logLikelihood), cost };
}

test('the baseline gives the same bits before, between and after interventions', async () => {
  const { values } = await score();
  for (const other of [zeroTuning(1.4), act('frozen'), act('running')]) {
    expect((await score(other)).values).not.toEqual(values);
    expect((await score()).values).toEqual(values);
  }
});

test('an intervention gives the same bits whatever was used before it', async () => {
  const settings = [zeroTuning(1.4), act('frozen'), zeroTuning(0.3), act('running')];
  const first = [];
  for (const setting of settings) first.push((await score(setting)).values);
  const again = [];
  for (const setting of [...settings].reverse()) again.unshift((await score(setting)).values);
  expect(again).toEqual(first);
});

test('a prompt is shared between choices where later tokens change nothing in it, and only there', async () => {
  for (const setting of [[], [zeroTuning(1.4)], [act('row')]]) {
    const { cost } = await score(...setting);
    expect(cost.tokens * 2).toBeLessThan(cost.unsharedTokens);
  }
  for (const setting of [act('running'), act('frozen')]) {
    const { cost } = await score(setting);
    expect(cost.tokens).toBe(cost.unsharedTokens);
  }
});

test('a graph of another name: the same numbers from another file, and another model', async () => {
  const worlds = fileURLToPath(new URL('../../testbed/models/worlds-lm', import.meta.url));
  const [usual, named] = [
    await loadEvalModel(worlds),
    await loadEvalModel(worlds, { modelFile: 'model_gqa' }),
  ];
  expect(named.fingerprint).not.toBe(usual.fingerprint);
  const scores = [];
  for (const one of [usual, named]) {
    const [context, continuation] = ['Ann has a', ' dog'].map((text) => one.language.encode(text));
    const { scores: own } = await one.language.logLikelihoods([
      { context: context!, continuation: continuation! },
    ]);
    scores.push(own[0]!.logLikelihood);
    await one.dispose();
  }
  expect(Math.abs(scores[0]! - scores[1]!)).toBeLessThan(1e-3);
  expect(scores[0]).not.toBe(scores[1]);
  await expect(loadEvalModel(worlds, { modelFile: 'nowhere' })).rejects.toMatchObject({ code: 'MODEL_LOAD' });
});
