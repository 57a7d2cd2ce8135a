/**
 * Where transformers.js finds (or has put) the graph behind each session of a model: a local folder in Hub layout,
 * or its file cache. Follows its naming: `onnx/<name><dtype suffix>.onnx`.
 */
import { AttuneError } from '../../errors.ts';

/** Suffixes of transformers.js (utils/dtypes.js). */
const DTYPE_SUFFIX: Readonly<Record<string, string>> = {
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
};

export interface FileOptions {
  readonly subfolder: string;
  readonly revision: string;
  readonly cacheDir: string | null;
  readonly localModelPath: string;
  /** Overrides the file name of the `model` session. */
  readonly modelFileName: string | null;
}

/**
 * Paths of the graph that a session was made from.
 * @throws AttuneError DTYPE_UNKNOWN, GRAPH_NOT_FOUND listing where it looked
 */
export async function graphOfSession(
  idOrFolder: string,
  sessionName: string,
  dtype: string,
  options: FileOptions,
): Promise<string> {
  const { existsSync } = await import('node:fs');
  const { join, resolve } = await import('node:path');
  const suffix = DTYPE_SUFFIX[dtype];
  if (suffix === undefined) {
    throw new AttuneError('DTYPE_UNKNOWN', { found: dtype, expected: Object.keys(DTYPE_SUFFIX).join(', ') });
  }
  const folders = [
    resolve(idOrFolder),
    join(options.localModelPath, idOrFolder),
    ...(options.cacheDir
      ? [
          join(options.cacheDir, idOrFolder, options.revision === 'main' ? '' : options.revision),
          join(options.cacheDir, idOrFolder),
        ]
      : []),
  ];
  const names = candidates(sessionName, options.modelFileName).map((name) => `${name}${suffix}.onnx`);
  const looked: string[] = [];
  for (const folder of new Set(folders)) {
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
