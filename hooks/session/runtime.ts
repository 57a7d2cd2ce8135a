/**
 * ONNX Runtime behind one small interface, so that a session does not care whether it is onnxruntime-node,
 * onnxruntime-web or one the caller injects. The shapes follow onnxruntime-common. In Node it is the copy that
 * transformers.js uses: attune has none of its own, because two versions of onnxruntime-node in one process do not load.
 */
import { AttuneError } from '../../errors.ts';
import { inNode, nodeModule } from '../../onnx/index.ts';

export interface OrtTensor {
  readonly type: string;
  readonly dims: readonly number[];
  /** Throws for tensors on a GPU; see `location`. */
  readonly data: unknown;
  readonly location?: string;
  getData?(release?: boolean): Promise<unknown>;
  dispose?(): void;
}

export interface ValueMetadata {
  readonly name: string;
  readonly isTensor?: boolean;
  readonly type?: string;
  readonly shape?: readonly (number | string)[];
}

export type Feeds = Readonly<Record<string, OrtTensor>>;
export type Fetches = readonly string[] | Readonly<Record<string, OrtTensor | null>>;

export interface OrtSession {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  readonly inputMetadata?: readonly ValueMetadata[];
  readonly outputMetadata?: readonly ValueMetadata[];
  run(feeds: Feeds, options?: object): Promise<Record<string, OrtTensor>>;
  run(feeds: Feeds, fetches: Fetches, options?: object): Promise<Record<string, OrtTensor>>;
  release(): Promise<void>;
}

export interface Runtime {
  readonly InferenceSession: {
    create(model: Uint8Array | string, options?: object): Promise<OrtSession>;
  };
  readonly Tensor: new (type: string, data: unknown, dims: readonly number[]) => OrtTensor;
  /** Where it is known otherwise than by what the module holds. */
  readonly backend?: Backend;
}

export type Backend = 'node' | 'web';

/**
 * The installed runtime.
 * @param backend 'node': the onnxruntime-node of the installed transformers.js (cpu, webgpu, cuda…); 'web': onnxruntime-web
 *   (wasm, webgpu), which in Node has to be installed beside attune
 * @throws AttuneError RUNTIME_MISSING when the package cannot be loaded
 */
export async function loadRuntime(backend: Backend = inNode() ? 'node' : 'web'): Promise<Runtime> {
  const name = backend === 'node' ? 'onnxruntime-node' : 'onnxruntime-web';
  try {
    return backend === 'node' ? await runtimeBeside(await installedTransformers()) : await webRuntime();
  } catch (cause) {
    throw new AttuneError('RUNTIME_MISSING', {
      found: `${name} could not be loaded: ${(cause as Error).message}`,
      hint: `npm install ${backend === 'node' ? '@huggingface/transformers' : name}, or pass your own runtime.`,
      cause,
    });
  }
}

/** Not imported by name: bundles for browsers use the one inside their transformers.js, and attune depends on none. */
async function webRuntime(): Promise<Runtime> {
  return nodeModule('node:module').createRequire(import.meta.url)('onnxruntime-web') as Runtime;
}

/** A file of the copy of transformers.js that attune's own imports find. */
export async function installedTransformers(): Promise<string> {
  const { createRequire } = nodeModule('node:module');
  return createRequire(import.meta.url).resolve('@huggingface/transformers');
}

/**
 * The onnxruntime-node that a copy of transformers.js loads, or what it takes in its place: a runtime that JavaScript's host
 * offers under Symbol.for('onnxruntime').
 * @param file a file of that copy
 */
export async function runtimeBeside(file: string): Promise<Runtime> {
  const offered = (globalThis as Record<symbol, unknown>)[Symbol.for('onnxruntime')];
  if (offered) return offered as Runtime;
  const { createRequire } = nodeModule('node:module');
  return createRequire(file)('onnxruntime-node') as Runtime;
}

/**
 * Whether a runtime is the onnxruntime-node of the installed transformers.js. It is looked up among the modules that are loaded:
 * loading a second copy to compare would end in two libraries in one process.
 */
export async function isInstalled(runtime: Runtime): Promise<boolean> {
  const { createRequire } = nodeModule('node:module');
  try {
    const beside = createRequire(await installedTransformers());
    return beside.cache[beside.resolve('onnxruntime-node')]?.exports === runtime;
  } catch {
    return false;
  }
}

/** Version of the onnxruntime-node that the installed transformers.js loads. */
export async function runtimeVersion(): Promise<string> {
  const { createRequire } = nodeModule('node:module');
  const beside = createRequire(await installedTransformers());
  return (beside('onnxruntime-node/package.json') as { version: string }).version;
}

const queues = new WeakMap<object, Promise<unknown>>();

/** onnxruntime-web does one thing at a time: makes a session, or runs one. Others need no order. */
export function alone<T>(runtime: Runtime, work: () => Promise<T>): Promise<T> {
  if (!isWeb(runtime)) return work();
  const { InferenceSession } = runtime;
  const turn = (queues.get(InferenceSession) ?? Promise.resolve()).then(work, work);
  queues.set(
    InferenceSession,
    turn.catch(() => undefined),
  );
  return turn;
}

/** Version of ONNX Runtime itself, where the module says it. */
export function ortVersion(runtime: Runtime): string | undefined {
  const { env, native } = runtime as {
    env?: { versions?: { node?: string; web?: string; common?: string } };
    native?: { version?: string };
  };
  return native?.version ?? env?.versions?.[isWeb(runtime) ? 'web' : 'node'] ?? env?.versions?.common;
}

/** Operators a runtime has a kernel for (kernels/native): beginnings of their names. */
export function kernelsOf(runtime: Runtime): readonly string[] | undefined {
  return (runtime as { native?: { operators?: readonly string[] } }).native?.operators;
}

/** onnxruntime-web has environment flags for wasm; onnxruntime-node lists its backends. */
export function isWeb(runtime: Runtime): boolean {
  return runtime.backend ? runtime.backend === 'web' : !('listSupportedBackends' in runtime);
}
