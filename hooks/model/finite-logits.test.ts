/** Which scores a token can be chosen from. */
import { expect, test } from 'vitest';
import { checkFinite } from './finite-logits.ts';

const { NaN: nan, POSITIVE_INFINITY: most, NEGATIVE_INFINITY: least } = Number;
const logits = (S: number, ...values: number[]) => ({
  type: 'float32',
  dims: [1, S, values.length / S],
  data: Float32Array.from(values),
});
const halves = (...bits: number[]) => ({
  type: 'float16',
  dims: [1, 1, bits.length],
  data: Uint16Array.from(bits),
});

test('finite scores pass, and forbidden tokens among them', () => {
  checkFinite(logits(1, 0, -3e38, 3e38), 0);
  checkFinite(logits(1, least, 1, least), 0);
  checkFinite(halves(0x0000, 0xfc00, 0x7bff, 0x8001), 0);
});

test('only the last position is chosen from', () => {
  checkFinite(logits(2, nan, most, 1, 2), 0);
  expect(() => checkFinite(logits(2, 1, 2, nan, 2), 0)).toThrow('LOGITS_NOT_FINITE');
});

test.each([
  [logits(1, 1, nan), 'NaN for token 1'],
  [logits(1, most, 1), 'Infinity for token 0'],
  [logits(1, least, least), '−∞ for every token'],
  [halves(0x3c00, 0x7e00), 'NaN for token 1'],
  [halves(0x7c00, 0x3c00), 'Infinity for token 0'],
  [halves(0xfc00, 0xfc00), '−∞ for every token'],
])('%j: %s', (tensor, found) => {
  expect(() => checkFinite(tensor, 3)).toThrow(`at step 3 of the generation, row 0: found ${found}`);
});
