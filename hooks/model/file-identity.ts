/**
 * Whether the files of a model are still those it was loaded from. An edited graph refers to weights by their place in a file, so
 * a file that was replaced meanwhile would give other numbers without a word.
 */
import { AttuneError } from '../../errors.ts';
import { externalFiles, nodeModule, type OnnxFile } from '../../onnx/index.ts';

/** Device, inode, size and time of the last change; 'missing' where there is no file. */
type Mark = string;

export class FileIdentity {
  readonly #marks: ReadonlyMap<string, Mark>;

  private constructor(marks: ReadonlyMap<string, Mark>) {
    this.#marks = marks;
  }

  /** Of the graph and its weight files as they are now; undefined for a model that is not from a file. */
  static async of({ source, model }: OnnxFile): Promise<FileIdentity | undefined> {
    const { path } = source;
    if (path === undefined) return undefined;
    const { dirname, join } = nodeModule('node:path');
    const paths = [path, ...externalFiles(model).map((location) => join(dirname(path), location))];
    return new FileIdentity(
      new Map(await Promise.all(paths.map(async (each) => [each, await markOf(each)] as const))),
    );
  }

  /** @throws AttuneError MODEL_FILE_CHANGED naming the file */
  async check(): Promise<void> {
    for (const [path, before] of this.#marks) {
      const now = await markOf(path);
      if (now === before) continue;
      throw new AttuneError('MODEL_FILE_CHANGED', {
        at: path,
        found: now === MISSING ? 'no file any more' : 'another file than the one the model was loaded from',
        expected: 'the same file, since the edited graph refers to the weights in it',
        hint: 'Load the model again. What was compiled in before still runs.',
      });
    }
  }
}

const MISSING = 'missing';

async function markOf(path: string): Promise<Mark> {
  const { stat } = nodeModule('node:fs/promises');
  try {
    const { dev, ino, size, mtimeMs } = await stat(path);
    return `${dev} ${ino} ${size} ${mtimeMs}`;
  } catch {
    return MISSING;
  }
}
