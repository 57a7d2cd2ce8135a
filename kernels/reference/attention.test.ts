import { expect, test } from 'vitest';
import { attention } from './attention.ts';
import { groupMasses, logSumExp, mergeGroups, partitionedAttention } from './partitioned-attention.ts';
import { massesOf } from './prob-transfer.ts';
import { at, build, maxAbsError, tensor } from './tensor.ts';
import { leftPadding, visibility } from './visibility.ts';

/** Deterministic numbers in (-1, 1) that are not periodic in any axis. */
const wave = (...shape: number[]) => {
  let i = 0;
  return build(shape, () => Math.sin(12.9898 * ++i) * Math.cos(4.1414 * i * i));
};

test('two keys of equal logits share the weight; the value is their mean', () => {
  const q = tensor([1, 1, 1, 2], [0, 0]);
  const k = tensor([1, 1, 2, 2], [1, 2, 3, 4]);
  const v = tensor([1, 1, 2, 1], [10, 20]);
  expect([...attention(q, k, v).output.data]).toEqual([15]);
});

test('a head sink takes weight from every key and adds no value', () => {
  const q = tensor([1, 1, 1, 1], [0]);
  const k = tensor([1, 1, 1, 1], [5]);
  const v = tensor([1, 1, 1, 1], [8]);
  const { output } = attention(q, k, v, { headSink: tensor([1], [Math.log(3)]) });
  expect(output.data[0]).toBeCloseTo(2, 12);
});

test('soft-cap bounds the logits', () => {
  const q = tensor([1, 1, 1, 1], [100]);
  const k = tensor([1, 1, 2, 1], [1, -1]);
  const { scores } = attention(q, k, k, { softcap: 2 });
  expect([...scores.data]).toEqual([2, -2]);
});

test('query heads of one group read the same key and value', () => {
  const q = wave(1, 1, 3, 4);
  const twice = build([1, 2, 3, 4], (_b, _h, s, d) => at(q, 0, 0, s!, d!));
  const [k, v] = [wave(1, 1, 5, 4), wave(1, 1, 5, 4)];
  const { output } = attention(twice, k, v);
  expect(output.data.subarray(0, 12)).toEqual(output.data.subarray(12));
});

test('causality with a past, a window and left padding', () => {
  const keys = leftPadding([0, 2], 5);
  expect([...visibility([2, 2, 5], { keys }).data]).toEqual([
    ...[1, 1, 1, 1, 0, 1, 1, 1, 1, 1],
    ...[0, 0, 1, 1, 0, 0, 0, 1, 1, 1],
  ]);
  expect([...visibility([1, 2, 5], { window: 2 }).data]).toEqual([0, 0, 1, 1, 0, 0, 0, 0, 1, 1]);
  expect([...visibility([1, 1, 3], { hidden: [{ start: 1, end: 2 }] }).data]).toEqual([1, 0, 1]);
});

test('a row that is padding sees nothing and gives zero', () => {
  const q = wave(1, 1, 3, 4);
  const { output } = attention(q, q, q, { mask: { keys: leftPadding([1], 3) } });
  expect([...output.data.subarray(0, 4)]).toEqual([0, 0, 0, 0]);
  expect(output.data.subarray(4, 8)).toEqual(q.data.subarray(4, 8));
});

test.each([1, 2, 5])('%i groups merge to plain attention and hold its masses', (G) => {
  const [q, k, v] = [wave(2, 4, 3, 8), wave(2, 2, 7, 8), wave(2, 2, 7, 5)];
  const groups = build([2, 4, 3, 7], (b, h, s, t) => (b! + 3 * h! + s! + t! * t!) % G);
  const options = { softcap: 3, headSink: tensor([4], [0.1, -1, 2, 0]), mask: { window: 4 } };
  const plain = attention(q, k, v, options);
  const partition = partitionedAttention(q, k, v, groups, G, options);
  expect(maxAbsError(mergeGroups(partition), plain.output)).toBeLessThan(1e-14);
  expect(maxAbsError(groupMasses(partition), massesOf(plain.probs, groups, G))).toBeLessThan(1e-14);
  expect(Number.isFinite(at(logSumExp(partition), 0, 0, 0))).toBe(true);
});

test('logits of a thousand do not overflow', () => {
  const q = tensor([1, 1, 1, 1], [1]);
  const k = tensor([1, 1, 3, 1], [1000, 1000, -1000]);
  const v = tensor([1, 1, 3, 1], [1, 3, 100]);
  const partition = partitionedAttention(q, k, v, tensor([1, 1, 1, 3], [0, 1, 1]), 2, {
    scale: 1,
    mask: { causal: false },
  });
  expect(mergeGroups(partition).data[0]).toBeCloseTo(2, 10);
});
