/** Parts of bounded caches by themselves: what is chosen, how keys turn, how caches of halves are copied. */
import { expect, test } from 'vitest';
import { PlainTensor } from '../../hooks/session/index.ts';
import { rePosition, rope, rotaryTables } from '../../kernels/reference/re-position.ts';
import { tensor } from '../../kernels/reference/tensor.ts';
import { halfToNumber, numberToHalf } from '../../onnx/index.ts';
import { chosenSlots } from './choose.ts';
import { compacted } from './compact.ts';
import { anglesOf, Turns } from './turns.ts';

test('padding goes first, sinks and the newest stay, of equal scores the newer key', () => {
  const columns = Int32Array.of(0, 1, 2, 3, 4, 5, 6, 7);
  const real = Uint8Array.of(0, 0, 1, 1, 1, 1, 1, 1);
  const scores = Float32Array.of(9, 9, 0, 1, 2, 2, 0, 0);
  const chosen = (budget: number) => [...chosenSlots(columns, real, scores, { budget, sinks: 1, recent: 1 })];
  expect(chosen(2)).toEqual([2, 7]);
  expect(chosen(3)).toEqual([2, 5, 7]);
  expect(chosen(5)).toEqual([2, 3, 4, 5, 7]);
  // Where there is room, padding stays in front.
  expect(chosen(7)).toEqual([1, 2, 3, 4, 5, 6, 7]);
});

test.each([false, true])('a key turned by positions, neighbours as pairs: %s', (interleaved) => {
  const D = 8;
  const form = rope(10000, D, interleaved);
  const { cos, sin } = rotaryTables(form, 65);
  // Tables may be scaled, as those of long contexts are.
  const scaled = (data: ArrayLike<number>) => Float32Array.from(data, (x) => 1.2 * x);
  const turns = new Turns(anglesOf(scaled(cos.data), scaled(sin.data), D / 2), interleaved);
  const key = Float32Array.from({ length: D }, (_, i) => Math.sin(1 + i));
  for (const positions of [-700, -1, 5, 4000]) {
    const turned = key.slice();
    turns.turn(turned, 0, positions);
    const expected = rePosition(tensor([1, 1, 1, D], [...key]), tensor([1, 1, 1], [positions]), form);
    for (let d = 0; d < D; d++) expect(turned[d]).toBeCloseTo(expected.data[d]!, 3);
  }
});

test('caches of halves', async () => {
  const data = Uint16Array.from({ length: 2 * 3 * 4 }, (_, i) => numberToHalf(i / 8));
  const cache = new PlainTensor('float16', data, [1, 2, 3, 4]);
  const by = new Turns(Float64Array.of(Math.PI / 2, 0), false);
  const slots = () => Int32Array.of(0, 2);
  const half = await compacted(cache as never, {
    slots,
    turn: { by, positions: () => Int32Array.of(0, 1) },
  });
  expect(half.dims).toEqual([1, 2, 2, 4]);
  const numbers = Array.from(half.data as Uint16Array, halfToNumber);
  // Channels 0 and 2 of the second key change places, by a quarter of a turn.
  expect(numbers.slice(0, 8)).toEqual([0, 1 / 8, 2 / 8, 3 / 8, -10 / 8, 9 / 8, 1, 11 / 8]);
});
