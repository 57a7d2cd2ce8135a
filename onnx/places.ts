/**
 * Where a model's bytes really lie. huggingface_hub keeps a model as symbolic links into a folder of blobs, and ONNX Runtime
 * refuses references that leave the folder it is given: a graft therefore refers to the files behind the links.
 */
import { AttuneError } from '../errors.ts';
import { externalFiles } from './graft.ts';
import type { Model } from './model.ts';
import { nodeModule } from './node.ts';

/** Where the files of a model really lie. */
export interface Places {
  /** Folder that holds every file of the model, links followed. */
  readonly folder: string;
  /** The .onnx file, from `folder`. */
  readonly own: string;
  /** External files whose name from `folder` is another than the one written in the model. */
  readonly renamed: ReadonlyMap<string, string>;
}

/**
 * Where a model's files really lie, links followed.
 *
 * @param path of the .onnx file
 * @throws AttuneError EXTERNAL_DATA_OUTSIDE when a location leaves the model's folder. What a link in that folder points to may
 *   lie in the folder itself or beside the file that the .onnx link points to, as in huggingface_hub's cache.
 */
export async function realPlaces(model: Model, path: string): Promise<Places> {
  const { realpathSync } = nodeModule('node:fs');
  const { dirname, isAbsolute, join, normalize, relative, sep } = nodeModule('node:path');
  const given = dirname(path);
  const own = realpathSync(path);
  const allowed = [realpathSync(given), dirname(own)];
  const within = (folder: string, file: string) =>
    file.startsWith(folder.endsWith(sep) ? folder : folder + sep);
  const files = externalFiles(model).map((location) => {
    const leaves = isAbsolute(location) || normalize(location).startsWith('..');
    const real = leaves ? location : realpathSync(join(given, location));
    if (leaves || !allowed.some((folder) => within(folder, real))) {
      throw new AttuneError('EXTERNAL_DATA_OUTSIDE', {
        at: path,
        found: leaves ? `external data at "${location}"` : `"${location}", a link to ${real}`,
        expected: `a file in ${given}`,
        hint: 'A model may only read files of its own folder. Copy the weights beside the .onnx file.',
      });
    }
    return { location, real };
  });
  let folder = dirname(own);
  while (!files.every(({ real }) => within(folder, real)) && dirname(folder) !== folder)
    folder = dirname(folder);
  const named = (file: string) => relative(folder, file).split(sep).join('/');
  const renamed = files
    .map(({ location, real }) => [location, named(real)] as const)
    .filter(([location, name]) => normalize(location) !== normalize(name));
  return { folder, own: named(own), renamed: new Map(renamed) };
}
