import { expect, test } from 'vitest';
import { axesOf, beforeReshape, beforeTranspose, layoutOf } from './axes.ts';

test('layouts and axes are the same thing', () => {
  for (const layout of ['BSHD', 'BS(HD)', '(BS)(HD)', '(BH)DS'] as const)
    expect(layoutOf(axesOf(layout))).toBe(layout);
  expect(layoutOf(['S', 'BH', 'D'])).toBe(undefined);
});

test('before a Transpose', () =>
  expect(beforeTranspose(axesOf('BHDS'), [0, 2, 3, 1])).toEqual(axesOf('BSHD')));

test.each([
  ['a head split', 'B S H D', ['B', 'S', 4, 16], ['B', 'S', 64], 'B S HD'],
  ['a flattened head split', 'B S H D', ['B', 'S', 4, 16], ['B*S', 64], 'BS HD'],
  ['heads joined to the batch', 'BH S D', ['4*B', 'S', 8], ['B', 4, 'S', 8], 'B H S D'],
  ['repeated kv heads', 'B H S D', ['B', 4, 'S', 8], ['B', 2, 2, 'S', 8], 'B K G S D'],
  ['one channel a head', 'B S H D', ['B', 'S', 2, 1], ['B', 'S', 2], 'B S HD'],
  ['heads joined to the positions', 'B S HD', ['B', 'S', 32], ['B', '2*S', 16], 'B SH D'],
  ['an axis of 1 beside heads joined to the batch', 'BH S D', ['4*B', 'S', 8], [1, '4*B', 'S', 8], ' BH S D'],
  ['positions first', 'S BH D', ['S', '4*B', 8], ['S', 'B', 32], 'S B HD'],
])('before a Reshape: %s', (_, after, shape, from, before) => {
  expect(beforeReshape(after.split(' '), shape, from)).toEqual(before.split(' '));
});

test('sizes that do not correspond leave the axes open', () => {
  expect(beforeReshape(['B', 'S', 'HD'], ['B', 'S', 32], ['B', 'S', 4, 16])).toBe(undefined);
});
