/** Golden files of a folder, in Node. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AttuneError } from '../../errors.ts';
import { type GoldenCase, readGolden } from './read.ts';

/**
 * Every *.json of a folder, by name.
 * @throws AttuneError GOLDEN_NOT_FOUND when there is no such folder or it holds no JSON; what readGolden throws
 */
export async function readGoldenFolder(folder: string): Promise<GoldenCase[]> {
  const names = await readdir(folder).catch((cause: unknown) => {
    throw new AttuneError('GOLDEN_NOT_FOUND', { at: folder, found: 'no such folder', cause });
  });
  const files = names.filter((name) => name.endsWith('.json')).sort();
  if (files.length === 0) {
    throw new AttuneError('GOLDEN_NOT_FOUND', { at: folder, found: 'no .json files' });
  }
  const cases = await Promise.all(
    files.map(async (name) => readGolden(await readFile(join(folder, name), 'utf8'), name)),
  );
  return cases.flat();
}
