import { describe, expect, test } from 'vitest';
import { broadcastShapes, difference, product, quotient, sum, symbol } from './dims.ts';

describe('symbols', () => {
  test('products cancel whatever their order', () => {
    expect(product(['S', 4, 'B'])).toBe('4*B*S');
    expect(quotient(product(['B', 'S', 64]), product(['S', 16, 'B']))).toBe(4);
    expect(quotient('B', 'S')).toBe(undefined);
    expect(quotient(6, 4)).toBe(undefined);
  });

  test('sums are the same in any order, and come apart again', () => {
    expect(sum('P', 'S')).toBe(sum('S', 'P'));
    expect(difference(sum('P', 'S')!, 'P')).toBe('S');
    expect(difference('P', 'S')).toBe(undefined);
    expect(difference(sum('P', 1)!, 1)).toBe('P');
  });

  test('a declared sum is one', () => expect(symbol('past + new')).toBe(sum('new', 'past')));

  test('arithmetic in other names is not read as such', () => {
    expect(quotient(product([symbol('a*b'), 2]), symbol('a'))).toBe(undefined);
  });

  test('broadcasting keeps the dimension that says more', () => {
    expect(broadcastShapes(['B', 1, 'S'], [4, '?x:1'])).toEqual(['B', 4, 'S']);
    expect(broadcastShapes([1], ['S', 8])).toEqual(['S', 8]);
  });
});
