/** attune show: the page carries every head's attention, and what it carries is what flowed. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { packedPattern, type TokenView } from '../reports/token-view/data.ts';
import { showCommand } from './show.ts';

const MODEL = fileURLToPath(new URL('../../testbed/models/worlds-lm', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'attune-show-'));
afterAll(() => rmSync(folder, { recursive: true }));

const silent = { write: () => true };

test('a page with the baseline beside a method, in which every row of attention sums to 1', async () => {
  const out = join(folder, 'page.html');
  const params = ['--intervention', 'zerotuning', '--params', '{"gamma":6}'];
  await showCommand(['--model', MODEL, '--prompt', 'Nora </script> lives', '--out', out, ...params], silent);
  const page = readFileSync(out, 'utf8');
  expect(page).not.toMatch(/https?:/);
  expect(page.match(/<\/script>/g)).toHaveLength(1);
  const view = JSON.parse(/tokenView\([^,]+, (\{.*\})\);/.exec(page)![1]!) as TokenView;
  const [baseline, intervened] = view.settings.map(({ pattern }) =>
    Array.from(Buffer.from(pattern, 'base64'), (byte) => (byte / 255) ** 2),
  ) as [number[], number[]];
  expect(view.settings.map(({ label }) => label)).toEqual(['baseline', 'zerotuning']);
  const S = view.tokens.length;
  expect(baseline).toHaveLength(view.layers * view.heads * S * S);
  for (let row = 0; row < view.layers * view.heads * S; row++) {
    const sum = baseline.slice(row * S, row * S + S).reduce((total, p) => total + p, 0);
    expect(sum).toBeGreaterThan(0.97);
    expect(sum).toBeLessThan(1.03);
  }
  const toFirst = (pattern: number[]) => pattern.filter((_, i) => i % S === 0).reduce((sum, p) => sum + p, 0);
  expect(toFirst(intervened)).toBeGreaterThan(toFirst(baseline));
  expect(new Function(/<script>([\s\S]*)<\/script>/.exec(page)![1]!)).toBeInstanceOf(Function);
});

test('what is missing or too long is said before anything is written', async () => {
  const out = join(folder, 'none.html');
  await expect(showCommand(['--model', MODEL, '--out', out], silent)).rejects.toThrow(
    /ARGUMENT_MISSING.*--prompt/,
  );
  const bad = [
    '--model',
    MODEL,
    '--prompt',
    'x',
    '--out',
    out,
    '--intervention',
    'zerotuning',
    '--params',
    '{',
  ];
  await expect(showCommand(bad, silent)).rejects.toThrow(/ARGUMENT_INVALID.*--params/);
  const long = ['--model', MODEL, '--prompt', 'word '.repeat(2000), '--out', out];
  await expect(showCommand(long, silent)).rejects.toThrow(/SHOW_TOO_LONG/);
});

test('a layer with fewer heads is filled up', () => {
  const packed = packedPattern(
    [
      { dims: [1, 1, 1, 1], data: [1] },
      { dims: [1, 2, 1, 1], data: [0.25, 1] },
    ],
    2,
  );
  expect([...Buffer.from(packed, 'base64')]).toEqual([255, 0, 128, 255]);
});
