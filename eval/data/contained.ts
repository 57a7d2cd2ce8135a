/**
 * Files that data names stay in the folder they belong to: a task, a record or a model may come from a stranger, and a path
 * through `..`, an absolute path or a link must not read what else is on the machine, nor wait for what never ends.
 */
import { realpathSync, statSync } from 'node:fs';
import { isAbsolute, join, relative } from 'node:path';
import { AttuneError } from '../../errors.ts';

/** Where files of data lie: a path, or one with leave to read files outside too. */
export type DataFolder = string | { readonly path: string; readonly outside: true };

/**
 * The path of a file below a folder, links followed.
 * @param at where it is named @throws AttuneError DATA_FILE for what is no regular file, FILE_OUTSIDE; a missing file is left to whoever reads it
 */
export function contained(file: string, within: DataFolder, at: string): string {
  const folder = typeof within === 'string' ? within : within.path;
  const path = isAbsolute(file) ? file : join(folder, file);
  if (typeof within !== 'string' || isBelow(real(path), real(folder))) return regular(path, file, at);
  throw new AttuneError('FILE_OUTSIDE', {
    at,
    found: `${file}, which lies outside`,
    expected: `a file in ${folder}`,
    hint: 'Move it there; attune eval takes --allow-outside for data that you trust.',
  });
}

/** A pipe or device may never end. What is missing, whoever reads it says. */
function regular(path: string, file: string, at: string): string {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined || stat.isFile()) return path;
  throw new AttuneError('DATA_FILE', {
    at,
    found: `${file}, which is ${stat.isDirectory() ? 'a folder' : 'a pipe or device'}`,
    expected: 'a regular file',
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
