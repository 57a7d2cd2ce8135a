/** A file that a graph names: a regular file of the model's own folder, links followed. */
import { AttuneError } from '../errors.ts';
import { nodeModule } from './node.ts';

/**
 * A file as the graph at `path` names it. What a link in the model's folder points to may lie in the folder itself or beside the
 * file that the .onnx link points to, as in huggingface_hub's cache.
 * @returns its real path
 * @throws AttuneError EXTERNAL_DATA_OUTSIDE, EXTERNAL_DATA_MISSING, EXTERNAL_DATA_MALFORMED for what is no regular file
 */
export function externalFile(path: string, location: string): string {
  const { existsSync, realpathSync, statSync } = nodeModule('node:fs');
  const { dirname, isAbsolute, join, normalize, sep } = nodeModule('node:path');
  const folder = dirname(path);
  const outside = (found: string) =>
    new AttuneError('EXTERNAL_DATA_OUTSIDE', {
      at: path,
      found,
      expected: `a file in ${folder}`,
      hint: 'A model may only read files of its own folder. Copy the weights beside the .onnx file.',
    });
  if (location.includes('\0')) throw malformed(path, 'a file name with a zero byte', 'the name of a file');
  const normal = normalize(location);
  if (isAbsolute(location) || normal === '..' || normal.startsWith(`..${sep}`))
    throw outside(`external data at "${location}"`);
  const named = join(folder, location);
  if (!existsSync(named)) {
    throw new AttuneError('EXTERNAL_DATA_MISSING', {
      at: named,
      found: 'no such file',
      expected: 'the weights of the model',
      hint: `Download ${location} into the same folder as the .onnx file.`,
    });
  }
  const real = realpathSync(named);
  const within = (allowed: string) => real.startsWith(allowed.endsWith(sep) ? allowed : allowed + sep);
  const home = realpathSync(folder);
  if (real !== home && !within(home) && !within(dirname(realpathSync(path))))
    throw outside(`"${location}", a link to ${real}`);
  if (!statSync(real).isFile()) throw malformed(named, 'no regular file', 'a file of weights');
  return real;
}

/** What a file with such a reference is. */
export function malformed(at: string, found: string, expected: string): AttuneError {
  return new AttuneError('EXTERNAL_DATA_MALFORMED', {
    at,
    found,
    expected,
    hint: 'The file was damaged or made to be hostile.',
  });
}
