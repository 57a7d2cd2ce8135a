/**
 * Generated benchmark models are kept in .attune/bench (git-ignored) and made once. They are pure functions of
 * their name: to change what a generator makes, change the name.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';

/** <repository>/.attune/bench */
export const BENCH_CACHE = join(import.meta.dirname, '../../.attune/bench');

/**
 * @param path relative to the cache: the file that is written last
 * @param make writes it; `progress` takes the bytes written so far
 * @returns the absolute path
 */
export async function cached(
  path: string,
  make: (path: string, progress: (bytes: number) => void) => Promise<void>,
  cache = BENCH_CACHE,
): Promise<string> {
  const file = join(cache, path);
  if (existsSync(file)) return file;
  let shown = 0;
  const progress = (bytes: number) => {
    if (bytes - shown < 2 ** 26) return;
    shown = bytes;
    process.stderr.write(`${path}: ${(bytes / 1e6).toFixed(0)} MB\n`);
  };
  process.stderr.write(`generating ${path}\n`);
  await make(file, progress);
  return file;
}
