/**
 * Where transformers.js finds (or has put) the graph behind each session of a model: a local folder in Hub layout,
 * or its file cache. Follows its naming: `onnx/<name><dtype suffix>.onnx`.
 */
import { AttuneError, nearest } from '../../errors.ts';
import { nodeModule } from '../../onnx/index.ts';

/** Number types of transformers.js and the endings of their files (utils/dtypes.js). */
export const DTYPES = {
  fp32: '',
  fp16: '_fp16',
  q8: '_quantized',
  int8: '_int8',
  uint8: '_uint8',
  q4: '_q4',
  q4f16: '_q4f16',
  bnb4: '_bnb4',
  q2: '_q2',
  q2f16: '_q2f16',
  q1: '_q1',
  q1f16: '_q1f16',
} as const;

/** A number type of transformers.js: which file of a model's weights is taken. */
export type Dtype = keyof typeof DTYPES;

/**
 * Checks a dtype that came from outside.
 *
 * @throws AttuneError DTYPE_UNKNOWN with the nearest names
 */
export function asDtype(dtype: unknown, at?: string): Dtype {
  if (typeof dtype === 'string' && dtype in DTYPES) return dtype as Dtype;
  const names = Object.keys(DTYPES);
  throw new AttuneError('DTYPE_UNKNOWN', {
    at,
    found: typeof dtype === 'string' ? `dtype "${dtype}"` : `a dtype of type ${typeof dtype}`,
    expected: names.join(', '),
    ...(typeof dtype === 'string' && { hint: `Did you mean ${nearest(dtype, names, 2).join(' or ')}?` }),
  });
}

export interface FileOptions {
  readonly subfolder: string;
  readonly revision: string;
  readonly cacheDir: string | null;
  readonly localModelPath: string | null;
  /** Overrides the file name of the `model` session. */
  readonly modelFileName: string | null;
}

/**
 * Path of the graph that a session was made from.
 * @throws AttuneError DTYPE_UNKNOWN, GRAPH_NOT_FOUND listing where it looked
 */
export async function graphOfSession(
  idOrFolder: string,
  sessionName: string,
  dtype: string,
  options: FileOptions,
): Promise<string> {
  const { existsSync } = nodeModule('node:fs');
  const { join } = nodeModule('node:path');
  const names = graphNames(sessionName, dtype, options.modelFileName);
  const looked: string[] = [];
  for (const folder of await modelFolders(idOrFolder, options)) {
    for (const name of names) {
      const path = join(folder, options.subfolder, name);
      if (existsSync(path)) return path;
      looked.push(path);
    }
  }
  throw new AttuneError('GRAPH_NOT_FOUND', {
    at: idOrFolder,
    found: `no graph for session "${sessionName}" (${dtype})`,
    expected: looked.slice(0, 3).join(' or '),
    hint: 'Give the folder in Hub layout, or the path of the transformers.js cache as cache_dir.',
  });
}

/** Folders in which the files of a model may lie, in the order in which transformers.js looks. */
export async function modelFolders(
  idOrFolder: string,
  { localModelPath, cacheDir, revision }: Pick<FileOptions, 'localModelPath' | 'cacheDir' | 'revision'>,
): Promise<string[]> {
  const { join, resolve } = nodeModule('node:path');
  const cached = cacheDir === null ? [] : [join(cacheDir, idOrFolder)];
  return [
    ...new Set([
      resolve(idOrFolder),
      ...(localModelPath === null ? [] : [join(localModelPath, idOrFolder)]),
      ...(revision === 'main' ? [] : cached.map((folder) => join(folder, revision))),
      ...cached,
    ]),
  ];
}

/**
 * Names that the file of a session may have.
 * @throws AttuneError DTYPE_UNKNOWN
 */
export function graphNames(sessionName: string, dtype: string, modelFileName: string | null): string[] {
  const suffix = DTYPES[asDtype(dtype)];
  return candidates(sessionName, modelFileName).map((name) => `${name}${suffix}.onnx`);
}

/** Session `model` of transformers.js is an encoder, a text encoder or a language model in some architectures. */
function candidates(sessionName: string, modelFileName: string | null): string[] {
  if (sessionName !== 'model') return [sessionName];
  return [
    ...(modelFileName ? [modelFileName] : []),
    'model',
    'encoder_model',
    'language_model',
    'text_encoder',
  ];
}
