import { expect, test } from 'vitest';
import { dequantizeInt4, quantizeInt4 } from './int4.ts';
import { randomParameters } from './parameters.ts';

test.each([
  { rows: 5, columns: 64, blockSize: 32 },
  { rows: 3, columns: 43, blockSize: 16 },
])('[$rows, $columns] in blocks of $blockSize: off by half a step, a whole one at the far end', (shape) => {
  const { rows, columns, blockSize } = shape;
  const weights = randomParameters('int4').float('w', [rows, columns]);
  const matrix = quantizeInt4(weights, rows, columns, blockSize);
  const back = dequantizeInt4(matrix, rows, columns, blockSize);
  const blocks = Math.ceil(columns / blockSize);
  expect(matrix.quants).toHaveLength((rows * blocks * blockSize) / 2);
  for (const [i, value] of weights.entries()) {
    const block = Math.floor(i / columns) * blocks + Math.floor((i % columns) / blockSize);
    const scale = matrix.scales[block]!;
    // Nibbles reach from -8 to 7 steps, so a value of the other sign and like size is cut to 7.
    const steps = value / scale;
    const allowed = steps > 7.5 ? steps - 7 : 0.5;
    expect(Math.abs(back[i]! - value) / Math.abs(scale)).toBeLessThanOrEqual(allowed + 1e-5);
  }
});

test('a block of zeros stays zero', () => {
  const matrix = quantizeInt4(new Float32Array(32), 1, 32, 32);
  expect([...dequantizeInt4(matrix, 1, 32, 32)]).toEqual(new Array<number>(32).fill(0));
});

test('the pair order is low nibble first', () => {
  const { quants, scales } = quantizeInt4(Float32Array.of(-8, 0, 7, 3), 1, 4, 4);
  expect([...scales]).toEqual([1]);
  expect([...quants]).toEqual([0x80, 0xbf]);
});
