/**
 * Files that data names stay in the folder they belong to: a task, a record or a model may come from a stranger, and a path
 * through `..`, an absolute path or a link must not read what else is on the machine.
 */
import { realpathSync } from 'node:fs';
import { isAbsolute, join, relative } from 'node:path';
import { AttuneError } from '../../errors.ts';

/** Where files of data lie: a path, or one with leave to read files outside too. */
export type DataFolder = string | { readonly path: string; readonly outside: true };

/**
 * The path of a file below a folder, links followed.
 * @param at where it is named @throws AttuneError FILE_OUTSIDE; a file that does not exist is left to whoever reads it
 */
export function contained(file: string, within: DataFolder, at: string): string {
  const folder = typeof within === 'string' ? within : within.path;
  const path = isAbsolute(file) ? file : join(folder, file);
  if (typeof within !== 'string' || isBelow(real(path), real(folder))) return path;
  throw new AttuneError('FILE_OUTSIDE', {
    at,
    found: `${file}, which lies outside`,
    expected: `a file in ${folder}`,
    hint: 'Move it there; attune eval takes --allow-outside for data that you trust.',
  });
}

/** Of the nearest folder above that exists, where the path does not. */
function real(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    const above = join(path, '..');
    return above === path ? path : join(real(above), relative(above, path));
  }
}

function isBelow(path: string, folder: string): boolean {
  const way = relative(folder, path);
  return way !== '..' && !way.startsWith('../') && !way.startsWith('..\\') && !isAbsolute(way);
}
