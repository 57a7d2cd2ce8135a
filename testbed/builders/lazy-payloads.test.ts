import { expect, test } from 'vitest';
import { DataType } from '../../onnx/index.ts';
import { LazyPayloads } from './lazy-payloads.ts';

test('a tensor is made when it is read, once for consecutive parts', async () => {
  const payloads = new LazyPayloads();
  const made: string[] = [];
  const add = (name: string, bytes: number[]) =>
    payloads.tensor(name, DataType.UINT8, [bytes.length], bytes.length, () => {
      made.push(name);
      return Uint8Array.from(bytes);
    });
  const a = add('a', [1, 2, 3]);
  const b = add('b', [4, 5]);
  expect(payloads.size).toBe(5);
  expect(made).toEqual([]);
  expect(a.payload).toEqual({ kind: 'inline', field: 9, piece: { offset: 0, length: 3 } });
  expect(b.payload).toEqual({ kind: 'inline', field: 9, piece: { offset: 3, length: 2 } });
  expect([...payloads.readSync({ offset: 0, length: 2 })]).toEqual([1, 2]);
  expect([...payloads.readSync({ offset: 1, length: 2 })]).toEqual([2, 3]);
  expect([...(await payloads.read({ offset: 3, length: 2 }))]).toEqual([4, 5]);
  expect(made).toEqual(['a', 'b']);
});

test.each([
  { range: { offset: 1, length: 1 }, found: 'no tensor that starts here' },
  { range: { offset: 0, length: 3 }, found: '2 bytes' },
])('$found', ({ range, found }) => {
  const payloads = new LazyPayloads();
  payloads.tensor('short', DataType.UINT8, [3], 3, () => new Uint8Array(2));
  expect(() => payloads.readSync(range)).toThrow(found);
});
