/**
 * The copy of transformers.js that a class or a model comes from. An application may hold several (another version below a
 * dependency, the CommonJS beside the ES build); each has an `env` of its own and its own ONNX Runtime, and attune must use
 * those of the one it was given.
 */
import { inNode, nodeModule } from '../../onnx/index.ts';
import { runtimeBeside } from '../session/index.ts';
import type { Host, HostEnvironment, LoadingClass } from './host-environment.ts';
import { hostInBrowser } from './web-host.ts';

const known = new WeakMap<object, Promise<Host | undefined>>();

/**
 * The copy that `modelClass` belongs to; undefined where its module cannot be reached, as in a bundle.
 */
export function hostOf(modelClass: LoadingClass): Promise<Host | undefined> {
  const host = known.get(modelClass) ?? find(modelClass);
  known.set(modelClass, host);
  return host;
}

async function find(modelClass: LoadingClass): Promise<Host | undefined> {
  if (!inNode()) return hostInBrowser(modelClass);
  const file = await fileOf(modelClass);
  const module = file === undefined ? undefined : await importFile(file);
  return module && file !== undefined && isFrom(module, modelClass) ? hostAt(module, file) : undefined;
}

type Module = Readonly<Record<string, unknown>>;

async function hostAt(module: Module, file: string): Promise<Host> {
  return { env: module.env as HostEnvironment, runtime: await runtimeBeside(file) };
}

/** A class stands in its module under its name, or inherits from one that does. */
function isFrom(module: Module, modelClass: object): boolean {
  for (let one = modelClass; one && one !== Function.prototype; one = Object.getPrototypeOf(one)) {
    const { name } = one as { name?: string };
    if (name && module[name] === one) return true;
  }
  return false;
}

/**
 * The file that defines a class: its from_pretrained reads an option of ours, and the caller of that getter is a line of it.
 * Nothing is loaded, because reading the option ends the call.
 */
async function fileOf(modelClass: LoadingClass): Promise<string | undefined> {
  const stop = new Error('attune asks where this class is defined');
  let file: string | undefined;
  const options = {
    get config(): never {
      file = callerFile();
      throw stop;
    },
  };
  await modelClass.from_pretrained('', options).catch(() => undefined);
  const { fileURLToPath } = nodeModule('node:url');
  return file?.startsWith('file:') ? fileURLToPath(file) : file;
}

/** File of the function that called the function that calls this one. */
function callerFile(): string | undefined {
  const before = Error.prepareStackTrace;
  Error.prepareStackTrace = (_, frames) => frames;
  const frames = new Error().stack as unknown as NodeJS.CallSite[];
  Error.prepareStackTrace = before;
  return frames[2]?.getFileName() ?? undefined;
}

/** Modules are singletons by file: this is the application's own instance, not another one. */
async function importFile(file: string): Promise<Module | undefined> {
  const { pathToFileURL } = nodeModule('node:url');
  try {
    const module: Module = await import(
      /* @vite-ignore */ /* webpackIgnore: true */ pathToFileURL(file).href
    );
    return 'env' in module ? module : (module.default as Module | undefined);
  } catch {
    return undefined;
  }
}
