/** Head maps: parameters by head as they are fed, measurements as their definition has them, under what is in force. */
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { meanMaps } from './head-maps.ts';
import { type EvalModel, loadEvalModel, readIntervention } from './load.ts';

const lm = fileURLToPath(new URL('../../testbed/models/worlds-lm', import.meta.url));
let model: EvalModel;
beforeAll(async () => {
  model = await loadEvalModel(lm);
});
afterAll(() => model.dispose());

const TEXTS = ['Review: The food was great.\nSentiment:', 'Text: Mira Vale met the train.\nTopic:'];
const encoded = () => TEXTS.map((text) => ({ tokens: model.language.encode(text) }));
const [L, H] = [5, 4];

test('the baseline: shares and entropies of every head, no parameters', async () => {
  await model.use([]);
  const maps = await model.headMaps(encoded());
  expect(maps.map(({ name }) => name)).toEqual(['attention to the first token', 'entropy of rows (nats)']);
  for (const { rows } of maps) {
    expect(rows.map((row) => row.length)).toEqual(Array(L).fill(H));
    for (const value of rows.flat()) expect(value).toBeGreaterThan(0);
  }
  expect(Math.max(...maps[0]!.rows.flat())).toBeLessThan(1);
});

test('γ above 1 in one head: its parameter is shown, and that head alone attends more to the first token in its layer', async () => {
  await model.use([]);
  const [before] = await model.headMaps(encoded());
  const gamma = Array.from({ length: L }, (_, l) =>
    Array.from({ length: H }, (_, h) => (l === 0 && h === 1 ? 4 : 1)),
  );
  await model.use([readIntervention({ intervention: 'zerotuning', gamma })]);
  const maps = await model.headMaps(encoded());
  const parameter = maps.find(({ name }) => name.startsWith('zerotuning'))!;
  expect([parameter.name, parameter.neutral]).toEqual(['zerotuning.log_gamma', 0]);
  expect(parameter.rows).toEqual(gamma.map((row) => row.map((value) => Math.fround(Math.log(value)))));
  const after = maps.find(({ name }) => name === 'attention to the first token')!;
  after.rows[0]!.forEach((value, head) => {
    if (head === 1) expect(value).toBeGreaterThan(before!.rows[0]![head]! + 1e-3);
    else expect(value).toBeCloseTo(before!.rows[0]![head]!, 6);
  });
});

test('a parameter that is the same in all heads is no map', async () => {
  await model.use([readIntervention({ intervention: 'zerotuning', gamma: 2 })]);
  expect(await model.headMaps([])).toEqual([]);
});

test('means are taken cell by cell', () => {
  const map = (value: number) => [
    {
      name: 'x',
      rows: [
        [value, 0],
        [1, 2 * value],
      ],
    },
  ];
  expect(meanMaps([map(1), map(3)])).toEqual([
    {
      name: 'x',
      rows: [
        [2, 0],
        [1, 4],
      ],
    },
  ]);
  expect(meanMaps([])).toEqual([]);
});
