/**
 * The folder of a model that is loaded already. transformers.js does not keep where a model came from, but it keeps the whole
 * config.json: the folder is the one below env.localModelPath or env.cacheDir whose config.json is the model's.
 */
import { AttuneError } from '../../errors.ts';
import { inNode, nodeModule } from '../../onnx/index.ts';
import type { HostEnvironment } from './host-environment.ts';

type Configuration = Readonly<Record<string, unknown>>;

/** A model lies at <owner>/<name>, or a revision of it one deeper. */
const DEPTH = 3;

/**
 * @throws AttuneError MODEL_FOLDER_UNKNOWN when no folder, or more than one, has the model's configuration
 */
export async function folderOfModel(config: Configuration, env: HostEnvironment): Promise<string> {
  // A browser cannot look through folders.
  const roots = (inNode() ? [env.localModelPath, env.cacheDir] : []).filter(
    (root) => typeof root === 'string',
  );
  const found = new Set<string>();
  for (const root of roots) for (const folder of await foldersWith(root, config, DEPTH)) found.add(folder);
  const [folder, ...others] = found;
  if (folder !== undefined && others.length === 0) return folder;
  throw new AttuneError('MODEL_FOLDER_UNKNOWN', {
    at: 'attune.wrap',
    found:
      folder === undefined
        ? `no folder with this model's config.json below ${roots.join(' or ') || 'any known place'}`
        : `${found.size} folders with this model's config.json: ${[...found].slice(0, 3).join(', ')}`,
    expected: 'one folder that the model was loaded from',
    hint: 'Name it: attune.wrap(model, idOrFolder), with what you gave to from_pretrained.',
  });
}

async function foldersWith(root: string, config: Configuration, depth: number): Promise<string[]> {
  const { readdir } = nodeModule('node:fs/promises');
  const { join, resolve } = nodeModule('node:path');
  if (await isOf(join(root, 'config.json'), config)) return [resolve(root)];
  if (depth === 0) return [];
  const entries = await readdir(root, { withFileTypes: true }).catch(() => []);
  const below = entries.filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'));
  const found = await Promise.all(below.map(({ name }) => foldersWith(join(root, name), config, depth - 1)));
  return found.flat();
}

/** Everything a config.json says, a model that was loaded with it has. */
async function isOf(path: string, config: Configuration): Promise<boolean> {
  const { readFile } = nodeModule('node:fs/promises');
  const { isDeepStrictEqual } = nodeModule('node:util');
  try {
    const written = JSON.parse(await readFile(path, 'utf8')) as Configuration;
    const entries = Object.entries(written);
    return entries.length > 0 && entries.every(([name, value]) => isDeepStrictEqual(config[name], value));
  } catch {
    return false;
  }
}
