/**
 * Where a model's bytes really lie. huggingface_hub keeps a model as symbolic links into a folder of blobs, and ONNX Runtime
 * refuses references that leave the folder it is given: a graft therefore refers to the files behind the links.
 */
import { checkExternalFiles } from './external.ts';
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
  /** Every external file by the name written in the model: its real path. */
  readonly files: ReadonlyMap<string, string>;
}

/**
 * Where a model's files really lie, links followed.
 *
 * @param path of the .onnx file
 * @throws AttuneError EXTERNAL_DATA_*, as its files are checked
 */
export function realPlaces(model: Model, path: string): Places {
  const { realpathSync } = nodeModule('node:fs');
  const { dirname, normalize, relative, sep } = nodeModule('node:path');
  const own = realpathSync(path);
  const files = checkExternalFiles(model, path);
  const within = (folder: string, file: string) =>
    file.startsWith(folder.endsWith(sep) ? folder : folder + sep);
  let folder = dirname(own);
  while (![...files.values()].every((real) => within(folder, real)) && dirname(folder) !== folder)
    folder = dirname(folder);
  const named = (file: string) => relative(folder, file).split(sep).join('/');
  const renamed = [...files]
    .map(([location, real]) => [location, named(real)] as const)
    .filter(([location, name]) => normalize(location) !== normalize(name));
  return { folder, own: named(own), renamed: new Map(renamed), files };
}
