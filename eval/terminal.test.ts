import { expect, test } from 'vitest';
import { guarded, withoutControls } from './terminal.ts';

test.each([
  ['\u001b[31mred\u001b]0;owned\u0007\u001b[2J', '\\u001b[31mred\\u001b]0;owned\\u0007\\u001b[2J'],
  ['a\u0000b\u009b31mc\u007f', 'a\\u0000b\\u009b31mc\\u007f'],
  ['\u202egnp.exe\u2066x', '\\u202egnp.exe\\u2066x'],
  ['overwritten\rline', 'overwritten\\u000dline'],
])('%j is shown as %s', (text, shown) => {
  expect(withoutControls(text)).toBe(shown);
});

test.each(['tab\tand\nlines\r\n', 'naïve 日本語 עברית 😀', '\u001b[1mbold\u001b[0m', '\r\u001b[K 3 of 7'])(
  '%j stays',
  (text) => {
    expect(withoutControls(text)).toBe(text);
  },
);

test('JSON says the same before and after', () => {
  const document = { name: '\u202e\u009b\u0007"\\' };
  expect(JSON.parse(withoutControls(JSON.stringify(document)))).toEqual(document);
});

test('a guarded stream passes on bytes, and what else the stream is', () => {
  const written: unknown[] = [];
  const stream = { isTTY: true, write: (chunk: unknown) => written.push(chunk) > 0 };
  const safe = guarded(stream);
  safe.write('\u001b[31m');
  safe.write(Uint8Array.of(0x1b));
  expect(safe.isTTY).toBe(true);
  expect(written).toEqual(['\\u001b[31m', Uint8Array.of(0x1b)]);
});
