/**
 * The native addon (kernels/native): where it lies, what it exports, and the library of ONNX Runtime it opens. Everything works
 * without it; whoever wants it is told what is missing.
 */
import { AttuneError } from '../../../errors.ts';
import { nodeModule } from '../../../onnx/index.ts';
import { installedTransformers } from '../runtime.ts';

/** A tensor in native memory. */
export interface NativeHandle {
  readonly capacity: number | null;
  download(): Uint8Array;
  dispose(): void;
}

export interface NativePort {
  readonly name: string;
  readonly isTensor: boolean;
  readonly element: number;
  readonly dims: readonly number[];
  readonly symbols: readonly string[];
}

export interface NativeControl {
  cancel(): void;
}

export interface NativeResult {
  readonly element: number;
  readonly dims: number[];
  readonly bytes?: Uint8Array;
  readonly handle?: NativeHandle;
}

export interface SharedCacheFeed {
  /** Position among the feeds. */
  readonly feed: number;
  /** Position among the outputs. */
  readonly output: number;
  /** Tokens after the run. */
  readonly total: number;
}

export interface NativeSessionObject {
  readonly inputs: readonly NativePort[];
  readonly outputs: readonly NativePort[];
  /** Bytes of native memory that JavaScript keeps alive. */
  readonly held: number;
  run(
    inputs: readonly number[],
    elements: readonly number[],
    dims: readonly (readonly number[])[],
    data: readonly (Uint8Array | NativeHandle)[],
    outputs: readonly number[],
    kept: readonly boolean[],
    shared: readonly SharedCacheFeed[],
    control?: NativeControl,
  ): Promise<NativeResult[]>;
  release(): void;
  endProfiling(): string;
}

export interface NativeAddon {
  openLibrary(path: string): { version: string; api: number; operators?: string[] };
  createSession(library: string, model: string | Uint8Array, settings: object): Promise<NativeSessionObject>;
  readonly RunControl: new (library: string, settings: object) => NativeControl;
  readonly Handle: new (...never: never[]) => NativeHandle;
}

/** An addon with the library it was made to open. */
export interface LoadedAddon {
  readonly addon: NativeAddon;
  /** Path of the addon. */
  readonly path: string;
  /** Path of ONNX Runtime's library. */
  readonly library: string;
  /** ONNX Runtime's version. */
  readonly version: string;
  /** Operators it has a kernel for: beginnings of their names. */
  readonly operators: readonly string[];
}

/** Where the native addon and its ONNX Runtime library are. */
export interface AddonPaths {
  /** Default: beside the crate, kernels/native/attune-<platform>-<arch>.node. */
  readonly addon?: string;
  /** Default: the library that onnxruntime-node ships. */
  readonly library?: string;
}

const BUILD = 'Build it with `npm run build:native` (needs cargo), or use runtime: "onnxruntime".';

/** Name of the library beside onnxruntime-node's binding; the one the binding links, where there are two. */
const LIBRARY_NAMES: Readonly<Record<string, string>> = {
  linux: 'libonnxruntime.so.1',
  darwin: 'libonnxruntime.1.dylib',
  win32: 'onnxruntime.dll',
};

/**
 * @throws AttuneError NATIVE_ADDON when there is none, or one of another platform; NATIVE_LIBRARY when ONNX Runtime is not where
 * onnxruntime-node keeps it, or is too old
 */
export async function loadAddon(paths: AddonPaths = {}): Promise<LoadedAddon> {
  const { createRequire } = nodeModule('node:module');
  const { existsSync } = nodeModule('node:fs');
  const path = paths.addon ?? addonPath();
  if (!existsSync(path)) {
    throw new AttuneError('NATIVE_ADDON', { found: `no file ${path}`, expected: 'the addon', hint: BUILD });
  }
  let addon: NativeAddon;
  try {
    addon = createRequire(import.meta.url)(path) as NativeAddon;
  } catch (cause) {
    throw new AttuneError('NATIVE_ADDON', {
      at: path,
      found: (cause as Error).message,
      expected: `an addon for ${process.platform} ${process.arch}`,
      hint: BUILD,
      cause,
    });
  }
  const library = paths.library ?? (await libraryPath());
  try {
    const { version, operators = [] } = addon.openLibrary(library);
    return { addon, path, library, version, operators };
  } catch (cause) {
    throw nativeError(cause, {
      at: library,
      hint: 'The native runtime needs onnxruntime-node 1.17 or later.',
    });
  }
}

/** From the sources and from dist alike: kernels/native of the package. */
function addonPath(): string {
  const { existsSync } = nodeModule('node:fs');
  const { dirname, join } = nodeModule('node:path');
  const { fileURLToPath } = nodeModule('node:url');
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'package.json')) && dirname(folder) !== folder) folder = dirname(folder);
  return join(folder, 'kernels/native', `attune-${process.platform}-${process.arch}.node`);
}

/** Of the onnxruntime-node that this package resolves, as transformers.js does: bin/napi-v6/linux/x64/… */
async function libraryPath(): Promise<string> {
  const { createRequire } = nodeModule('node:module');
  const { existsSync, readdirSync } = nodeModule('node:fs');
  const { dirname, join } = nodeModule('node:path');
  const name = LIBRARY_NAMES[process.platform];
  let entry: string;
  try {
    entry = createRequire(await installedTransformers()).resolve('onnxruntime-node');
  } catch (cause) {
    const found = 'no onnxruntime-node';
    throw new AttuneError('NATIVE_LIBRARY', { found, hint: 'npm install onnxruntime-node.', cause });
  }
  const bin = join(dirname(entry), '../bin');
  const builds = existsSync(bin) ? readdirSync(bin).filter((build) => build.startsWith('napi-')) : [];
  const candidates = builds.map((build) => join(bin, build, process.platform, process.arch, name ?? ''));
  const library = name && candidates.find((candidate) => existsSync(candidate));
  if (library) return library;
  throw new AttuneError('NATIVE_LIBRARY', {
    at: bin,
    found: `no ${name ?? 'library'} for ${process.platform} ${process.arch}`,
    expected: 'the library that onnxruntime-node links',
    hint: 'Reinstall onnxruntime-node, or use runtime: "onnxruntime".',
  });
}

/** What stands between code and sentence in the addon's errors. */
const SEPARATOR = '\u001f';

/** The addon's error as ours. Errors of ONNX Runtime, code ORT, get the caller's code. */
export function nativeError(
  cause: unknown,
  { code = 'RUN_FAILED', at, hint }: { code?: string; at?: string; hint?: string } = {},
): AttuneError {
  const message = cause instanceof Error ? cause.message : String(cause);
  const [own, sentence] = message.includes(SEPARATOR) ? message.split(SEPARATOR, 2) : ['ORT', message];
  return new AttuneError(own === 'ORT' ? code : own!, { at, found: sentence, hint, cause });
}
