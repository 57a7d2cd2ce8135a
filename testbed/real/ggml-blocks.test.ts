/** Blocks written by hand, after ggml-common.h. */
import { expect, test } from 'vitest';
import { dequantize, ggmlBytes } from './ggml-blocks.ts';

/** 0.5, −2 and 1 as binary16. */
const HALF = [0x00, 0x38];
const MINUS_TWO = [0x00, 0xc0];
const SMALLEST = [0x01, 0x00];

/** Byte i holds nibbles i (low) and 15 − i (high). */
const NIBBLES = Array.from({ length: 16 }, (_, i) => i | ((15 - i) << 4));
const Q = Array.from({ length: 32 }, (_, i) => (i < 16 ? i : 31 - i));

test.each([
  { name: 'Q4_0', type: 2, bytes: [...HALF, ...NIBBLES], expected: Q.map((q) => 0.5 * (q - 8)) },
  { name: 'Q4_1', type: 3, bytes: [...HALF, ...MINUS_TWO, ...NIBBLES], expected: Q.map((q) => 0.5 * q - 2) },
  {
    name: 'Q8_0',
    type: 8,
    bytes: [...MINUS_TWO, ...Array.from({ length: 32 }, (_, i) => (i - 16) & 255)],
    expected: Array.from({ length: 32 }, (_, i) => -2 * (i - 16)),
  },
  { name: 'F16', type: 1, bytes: [...HALF, ...MINUS_TWO, ...SMALLEST], expected: [0.5, -2, 2 ** -24] },
  { name: 'F32', type: 0, bytes: [0, 0, 0x80, 0x3f], expected: [1] },
])('$name', ({ type, bytes, expected }) => {
  expect(ggmlBytes(type, expected.length)).toBe(bytes.length);
  const values = dequantize(Uint8Array.from(bytes), type, expected.length);
  expect([...values].map((value) => value + 0)).toEqual(expected.map((value) => value + 0));
});

test('two blocks in a row', () => {
  const block = [...HALF, ...NIBBLES];
  const values = dequantize(Uint8Array.from([...block, ...MINUS_TWO, ...NIBBLES]), 2, 64);
  expect([values[1], values[33]]).toEqual([-3.5, 14]);
});

test('a type that is not read is named, and so are those that are', () => {
  expect(() => dequantize(new Uint8Array(32), 12, 256)).toThrow(/GGML type 12.*Q4_1 \(3\)/);
});
