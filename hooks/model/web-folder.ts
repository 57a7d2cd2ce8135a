/**
 * A model's folder in a browser, as the cache that transformers.js looks into and attune after it: files that a visitor picked, or
 * a directory, such as one of the origin's private file system, in which downloads are also kept.
 *
 *   env.useCustomCache = true;
 *   env.customCache = folderCache(input.files, 'my-model');
 */
import { AttuneError } from '../../errors.ts';

/** What env.customCache takes. */
export interface FolderCache {
  /** The file of an address, where the folder has it. */
  match(address: string): Promise<Response | undefined>;
  /** Keeps a download, where the folder is a directory. @throws AttuneError STORAGE_FULL, STORAGE_FAILED */
  put(address: string, response: Response): Promise<void>;
}

/**
 * A folder that a visitor picked, or a directory of the browser, as env.customCache takes it.
 *
 * @param place files with their paths below one folder (`<input type="file" webkitdirectory>`), or a directory
 * @param id what from_pretrained is given; files of other models are neither found nor kept
 * @throws AttuneError from `put`, STORAGE_FULL and STORAGE_FAILED, and then nothing of the file is there
 */
export function folderCache(place: Iterable<File> | FileSystemDirectoryHandle, id: string): FolderCache {
  const found = 'getFileHandle' in place ? inDirectory(place) : inFiles(place);
  return {
    async match(address) {
      const path = pathBelow(address, id);
      const file = path === undefined ? undefined : await found(path);
      if (!file) return undefined;
      return new Response(file, { headers: { 'content-length': String(file.size) } });
    },
    async put(address, response) {
      const path = pathBelow(address, id);
      if (path !== undefined && 'getFileHandle' in place) await keep(place, path, response);
    },
  };
}

/** From the model's folder: of …/my-model/onnx/model.onnx and of …/my-model/resolve/main/onnx/model.onnx the last two. */
function pathBelow(address: string, id: string): string | undefined {
  const [, path] = decodeURI(address).split(`${id}/`);
  return path?.replace(/^resolve\/[^/]+\//, '');
}

function inFiles(files: Iterable<File>): (path: string) => Promise<File | undefined> {
  const byPath = new Map(
    [...files].map((file) => [file.webkitRelativePath.replace(/^[^/]*\//, '') || file.name, file] as const),
  );
  return async (path) => byPath.get(path);
}

const inDirectory =
  (root: FileSystemDirectoryHandle) =>
  async (path: string): Promise<File | undefined> => {
    try {
      const { folder, name } = await placed(root, path, false);
      const file = await (await folder.getFileHandle(name)).getFile();
      // Begun, and never finished, as by a page that was closed.
      return file.size === 0 ? undefined : file;
    } catch (error) {
      if (['NotFoundError', 'TypeMismatchError'].includes((error as Error).name)) return undefined;
      throw error;
    }
  };

async function placed(root: FileSystemDirectoryHandle, path: string, create: boolean) {
  const folders = path.split('/');
  const name = folders.pop()!;
  let folder = root;
  for (const one of folders) folder = await folder.getDirectoryHandle(one, { create });
  return { folder, name };
}

/** Written beside the file and put in its place when all of it is there: what is cut off leaves no trace. */
async function keep(root: FileSystemDirectoryHandle, path: string, response: Response): Promise<void> {
  try {
    const { folder, name } = await placed(root, path, true);
    const known = await folder.getFileHandle(name).catch(() => undefined);
    const file = known ?? (await folder.getFileHandle(name, { create: true }));
    try {
      await response.body!.pipeTo(await file.createWritable());
    } catch (error) {
      if (!known) await folder.removeEntry(name).catch(() => undefined);
      throw error;
    }
  } catch (cause) {
    const full = (cause as Error).name === 'QuotaExceededError';
    throw new AttuneError(full ? 'STORAGE_FULL' : 'STORAGE_FAILED', {
      at: path,
      found: (cause as Error).message,
      hint: full
        ? 'The browser gives this site no more room. Nothing of the file was kept; the model runs all the same.'
        : 'Nothing of the file was kept; the model runs all the same.',
      cause,
    });
  }
}
