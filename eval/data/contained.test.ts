import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { isAttuneError } from '../../errors.ts';
import { contained } from './contained.ts';

const root = realpathSync(mkdtempSync(join(tmpdir(), 'attune-contained-')));
const path = join(root, 'data');
mkdirSync(join(path, 'deep'), { recursive: true });
writeFileSync(join(root, 'secret.txt'), 'secret');
writeFileSync(join(path, 'a.jsonl'), '{}');
symlinkSync(join(root, 'secret.txt'), join(path, 'link.txt'));
symlinkSync(join(path, 'a.jsonl'), join(path, 'deep', 'inner.jsonl'));
symlinkSync(root, join(path, 'up'));

const outcome = (file: string, outside?: boolean): string => {
  try {
    return contained(file, outside ? { path, outside } : path, 'task t');
  } catch (error) {
    return isAttuneError(error, 'FILE_OUTSIDE') ? 'outside' : String(error);
  }
};

test.each([
  'a.jsonl',
  'deep/../a.jsonl',
  'deep/inner.jsonl',
  'not-there.jsonl',
  '..a.jsonl',
  join(path, 'a.jsonl'),
])('%s is inside', (file) => {
  expect(outcome(file)).toBe(file.startsWith('/') ? file : join(path, file));
});

test.each([
  '../secret.txt',
  'deep/../../secret.txt',
  '/etc/passwd',
  'link.txt',
  'up/secret.txt',
  '..',
  'up/not-there',
])('%s is outside', (file) => {
  expect(outcome(file)).toBe('outside');
  expect(outcome(file, true)).not.toBe('outside');
});

test('a pipe or a folder is no data: reading it may never end', () => {
  execFileSync('mkfifo', [join(path, 'pipe')]);
  expect(outcome('pipe')).toContain('DATA_FILE: at task t: found pipe, which is a pipe or device');
  expect(outcome('deep')).toContain('found deep, which is a folder');
  expect(outcome('/dev/zero', true)).toContain('a pipe or device');
});
