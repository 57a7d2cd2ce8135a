import { expect, test } from 'vitest';
import { tooLarge } from './too-large.ts';

test.each([
  new RangeError('Array buffer allocation failed'),
  new RangeError('Invalid typed array length: 5000000000'),
  new Error('std::bad_alloc'),
  new RangeError('WebAssembly.Memory.grow(): Maximum memory size exceeded'),
])('%s', (cause) => {
  expect(tooLarge(cause, 'tiny')).toMatchObject({ code: 'MODEL_TOO_LARGE', at: 'tiny', cause });
});

test('what says something else is left to others', () => {
  expect(tooLarge(new Error('no such file'), 'tiny')).toBeUndefined();
  expect(tooLarge('text', 'tiny')).toBeUndefined();
  expect(tooLarge(undefined, 'tiny')).toBeUndefined();
});
