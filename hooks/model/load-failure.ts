/** What transformers.js says when it cannot load a model, made into what to do about it. */
import { AttuneError, isAttuneError, nearest } from '../../errors.ts';
import { inNode, nodeModule } from '../../onnx/index.ts';
import { tooLarge } from '../session/index.ts';
import { DTYPES, type Dtype, modelFolders } from './files.ts';
import type { HostEnvironment } from './host-environment.ts';
import type { LoadOptions } from './options.ts';

export interface LoadAttempt {
  readonly idOrFolder: string;
  readonly options: Pick<LoadOptions, 'dtype' | 'cache_dir' | 'revision' | 'subfolder' | 'local_files_only'>;
  readonly env: HostEnvironment;
}

/** MODEL_TOO_LARGE, or MODEL_LOAD with the reason, what was looked for, and the remedy; errors of attune as they are. */
export async function loadFailure(cause: unknown, attempt: LoadAttempt): Promise<AttuneError> {
  if (isAttuneError(cause)) return cause;
  const { idOrFolder } = attempt;
  const large = tooLarge(cause, idOrFolder);
  if (large) return large;
  const why = (await inFolder(attempt)) ?? (await elsewhere(cause, attempt));
  return new AttuneError('MODEL_LOAD', { at: idOrFolder, found: words(cause), ...why, cause });
}

interface Reason {
  readonly found?: string;
  readonly expected: string;
  readonly hint: string;
}

/** Where the folder is there: which of its files is not. */
async function inFolder({ idOrFolder, options, env }: LoadAttempt): Promise<Reason | undefined> {
  if (!inNode()) return undefined;
  const { existsSync, readdirSync } = nodeModule('node:fs');
  const { join } = nodeModule('node:path');
  const folders = await modelFolders(idOrFolder, {
    localModelPath: env.localModelPath ?? null,
    cacheDir: null,
    revision: 'main',
  });
  const folder = folders.find((each) => existsSync(each));
  if (folder === undefined) return undefined;
  const subfolder = options.subfolder ?? 'onnx';
  if (!existsSync(join(folder, 'config.json'))) {
    return {
      found: `no config.json in ${folder}`,
      expected: `a folder in Hub layout: config.json, tokenizer.json, ${subfolder}/`,
      hint:
        idOrFolder.endsWith('.onnx') || folder.endsWith(subfolder)
          ? 'Give the folder above it.'
          : 'Check the path.',
    };
  }
  const graphs = join(folder, subfolder);
  const files = existsSync(graphs) ? readdirSync(graphs).filter((name) => name.endsWith('.onnx')) : [];
  if (files.length === 0) {
    return {
      found: `no .onnx file in ${graphs}`,
      expected: 'the exported graphs there',
      hint: 'Export the model first.',
    };
  }
  const asked = typeof options.dtype === 'string' ? [options.dtype] : Object.values(options.dtype ?? {});
  const missing = asked.filter(
    (dtype) => !files.some((name) => name.endsWith(`${DTYPES[dtype as Dtype]}.onnx`)),
  );
  if (missing.length === 0 || missing.includes('auto')) {
    return {
      expected: `to load ${folder}`,
      hint: 'The files are there: check the other options, and that the download is complete.',
    };
  }
  return {
    found: `no file of dtype ${missing.join(', ')} in ${graphs}`,
    expected: `one of ${files.join(', ')}`,
    hint: `Load with ${available(files)}.`,
  };
}

/** dtypes of the files that are there. */
function available(files: readonly string[]): string {
  const dtypes = Object.entries(DTYPES).filter(([, ending]) =>
    files.some((name) =>
      ending === ''
        ? !name.includes('_') || name === 'decoder_model_merged.onnx'
        : name.endsWith(`${ending}.onnx`),
    ),
  );
  const names = dtypes.map(([dtype]) => `dtype: '${dtype}'`).join(' or ');
  return names || 'model_file_name and the dtype of a file that is there';
}

/** A path is never asked of the Hub. @throws AttuneError MODEL_LOAD */
export async function refuseNoFolder(attempt: LoadAttempt): Promise<void> {
  const { idOrFolder, env } = attempt;
  if (!inNode() || !isPath(idOrFolder)) return;
  const { existsSync } = nodeModule('node:fs');
  const places = { localModelPath: env.localModelPath ?? null, cacheDir: null, revision: 'main' };
  const folders = await modelFolders(idOrFolder, places);
  if ([idOrFolder, ...folders].some((folder) => existsSync(folder))) return;
  throw new AttuneError('MODEL_LOAD', { at: idOrFolder, ...(await elsewhere(undefined, attempt)) });
}

const isPath = (idOrFolder: string): boolean => /^(\/|~|\.\.?(\/|\\|$))/.test(idOrFolder);

/** Where there is no such folder: the Hub, or a slip in the name. */
async function elsewhere(cause: unknown, { idOrFolder, options, env }: LoadAttempt): Promise<Reason> {
  const local = env.localModelPath ?? '';
  if (/^[./~]/.test(idOrFolder) || options.local_files_only || env.allowRemoteModels === false) {
    const names = await namesIn(/^[./~]/.test(idOrFolder) ? undefined : local);
    const [close] = nearest(idOrFolder, names, 1);
    return {
      found: `no folder ${idOrFolder}${names.length > 0 ? ` below ${local}` : ''}`,
      expected: 'a folder in Hub layout (config.json, tokenizer.json, onnx/)',
      hint:
        close === undefined ? 'Check the path; it starts where the process does.' : `Did you mean ${close}?`,
    };
  }
  const host = env.remoteHost ?? 'the Hub';
  const text = words(cause);
  if (/fetch failed|failed to fetch|load failed|ENOTFOUND|ECONNREFUSED|EAI_AGAIN|network/i.test(text)) {
    return {
      expected: `a folder of that name, or to reach ${host}`,
      hint: inNode()
        ? 'Without a network, download the model once and give its folder, or set env.localModelPath of transformers.js.'
        : 'The server is not reached, or does not let this page read from it (CORS).',
    };
  }
  if (/unauthorized|forbidden|\b40[13]\b/i.test(text)) {
    return {
      expected: `to be let in at ${host}`,
      hint: 'The id may be misspelt or the model gated or private: check it in the browser, and set HF_TOKEN to a token that may read it.',
    };
  }
  return {
    expected: `a model of that id at ${host} with a graph of that dtype, or a folder in Hub layout`,
    hint: 'Look in its onnx/ folder which dtypes it has, or give another id: most models on onnx-community have one.',
  };
}

async function namesIn(folder: string | undefined): Promise<string[]> {
  if (!folder || !inNode()) return [];
  const { readdir } = nodeModule('node:fs/promises');
  return readdir(folder).catch(() => []);
}

/** The message, and that of what caused it, which says more for failed requests. */
function words(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  const inner = cause.cause instanceof Error ? ` (${cause.cause.message})` : '';
  return `${cause.message}${inner}`.replaceAll(/\s+/g, ' ');
}
