import { expect, test } from 'vitest';
import { softmax } from './attention.ts';
import { columnScore, columnStatistics } from './column-statistics.ts';
import { probMap } from './prob-map.ts';
import { rePosition, rope, rotaryTables } from './re-position.ts';
import { at, build, dot, maxAbsError, tensor } from './tensor.ts';
import { visibility } from './visibility.ts';

const row = (...p: number[]) => tensor([1, 1, 1, p.length], p);

test('probMap: p = 1, O = 0 is the identity; an offset of 1 keeps what is above uniform', () => {
  const p = row(0.5, 0.3, 0.2, 0);
  const visible = tensor([1, 1, 4], [1, 1, 1, 1]);
  expect(maxAbsError(probMap(p, visible, { power: 1 }), p)).toBeLessThan(1e-15);
  const sharp = probMap(p, visible, { power: 1, offset: tensor([1], [1]) });
  for (const [t, x] of [1 / 1.2, 0.2 / 1.2, 0, 0].entries()) expect(sharp.data[t]).toBeCloseTo(x, 15);
  const uniform = row(0.25, 0.25, 0.25, 0.25);
  expect(probMap(uniform, visible, { power: 15, offset: tensor([1], [1]) }).data).toEqual(uniform.data);
});

const x = build([1, 2, 3, 8], (_b, n, s, d) => Math.sin(1 + 5 * n! + 3 * s! + 7 * d!));
const spot = (p: number) => tensor([1, 1, 1], [p]);

test.each([
  { name: 'full', form: rope(10000, 8) },
  { name: 'interleaved', form: rope(500, 8, true) },
  { name: 'partial', form: rope(10000, 4) },
])('rePosition $name: rotations compose, keep length and see distances only', ({ form }) => {
  const direct = rePosition(x, spot(11), form);
  const twice = rePosition(rePosition(x, spot(4), form), spot(7), form);
  expect(maxAbsError(twice, direct)).toBeLessThan(1e-14);
  const logit = (m: number, n: number) => {
    const [q, k] = [rePosition(x, spot(m), form), rePosition(x, spot(n), form)];
    return dot(q.data.subarray(0, 8), k.data.subarray(8, 16));
  };
  expect(logit(9, 4)).toBeCloseTo(logit(105, 100), 12);
  expect(dot(direct.data, direct.data)).toBeCloseTo(dot(x.data, x.data), 12);
});

test('partial rotary leaves the remaining channels', () => {
  expect(rePosition(x, spot(5), rope(10000, 4)).data.subarray(4, 8)).toEqual(x.data.subarray(4, 8));
});

test('rotary tables hold cos and sin of position times frequency', () => {
  const { cos, sin } = rotaryTables(rope(10000, 4), 3);
  expect(at(cos, 2, 0)).toBe(Math.cos(2));
  expect(at(sin, 2, 1)).toBe(Math.sin(2 * 0.01));
});

test('column statistics of two calls add up to those of one', () => {
  const scores = build([1, 2, 5, 5], (_b, h, s, t) => Math.cos(h! + 2 * s! + 3 * t!));
  const visible = visibility([1, 5, 5]);
  const probs = softmax(scores, visible);
  const rows = (from: number, to: number, T: number) => ({
    probs: build([1, 2, to - from, T], (b, h, s, t) => at(probs, b!, h!, from + s!, t!)),
    visible: build([1, to - from, T], (b, s, t) => at(visible, b!, from + s!, t!)),
  });
  const [early, late] = [rows(0, 3, 3), rows(3, 5, 5)];
  const once = columnStatistics(probs, visible);
  const twice = columnStatistics(late.probs, late.visible, columnStatistics(early.probs, early.visible));
  expect(maxAbsError(twice.sum, once.sum)).toBeLessThan(1e-15);
  expect(twice.count.data).toEqual(once.count.data);
  expect([...once.count.data]).toEqual([5, 4, 3, 2, 1]);
  expect(at(columnScore(once), 0, 0, 4)).toBe(at(probs, 0, 0, 4, 4));
});
