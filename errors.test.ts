import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { AttuneError, editDistance, isAttuneError, nearest } from './errors.ts';

const ROOT = dirname(fileURLToPath(import.meta.url));

function sources(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    if (['node_modules', 'dist', '.git', '.attune'].includes(entry.name)) return [];
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return sources(path);
    return entry.name.endsWith('.ts') && !entry.name.endsWith('.test.ts') ? [path] : [];
  });
}

test('every error code thrown in the sources has a section in docs/errors.md', () => {
  const thrown = new Set<string>();
  for (const path of sources(ROOT)) {
    const text = readFileSync(path, 'utf8');
    for (const [, code] of text.matchAll(/new AttuneError\(\s*'([A-Z0-9_]+)'/g)) thrown.add(code!);
    for (const [, a, b] of text.matchAll(/new AttuneError\(\s*\w+ \? '([A-Z0-9_]+)' : '([A-Z0-9_]+)'/g)) {
      thrown.add(a!).add(b!);
    }
  }
  const documented = new Set(
    [...readFileSync(join(ROOT, 'docs/errors.md'), 'utf8').matchAll(/^## ([A-Z0-9_]+)$/gm)].map(
      ([, code]) => code,
    ),
  );
  expect(thrown.size).toBeGreaterThan(20);
  expect([...thrown].filter((code) => !documented.has(code)).sort()).toEqual([]);
});

test('the message is one sentence with place, finding, expectation and remedy', () => {
  const error = new AttuneError('X', {
    at: 'node q',
    found: 'γ = NaN',
    expected: 'γ > 0',
    hint: 'Check it.',
  });
  expect(error.message).toBe('X: at node q: found γ = NaN but expected γ > 0. Check it.');
  expect(isAttuneError(error, 'X')).toBe(true);
  expect(JSON.parse(JSON.stringify(error))).toMatchObject({ code: 'X', at: 'node q' });
});

test('nearest names come by edit distance', () => {
  expect(nearest('hook_patern', ['hook_z', 'hook_pattern', 'hook_q'], 1)).toEqual(['hook_pattern']);
});

test('two neighbouring letters swapped are one slip', () => {
  expect(editDistance('dtpye', 'dtype')).toBe(1);
  expect(editDistance('ab', 'ba')).toBe(1);
  expect(editDistance('kitten', 'sitting')).toBe(3);
});
