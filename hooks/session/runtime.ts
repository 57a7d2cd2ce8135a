/**
 * ONNX Runtime behind one small interface, so that a session does not care whether it is onnxruntime-node,
 * onnxruntime-web or one the caller injects. The shapes follow onnxruntime-common. In Node it is the copy that
 * transformers.js uses: attune has none of its own, because two versions of onnxruntime-node in one process do not load.
 */
import { AttuneError } from '../../errors.ts';
import { inNode, nodeModule } from '../../onnx/index.ts';

/** A tensor of ONNX Runtime, as onnxruntime-common has it. */
export interface OrtTensor {
  /** Element type, such as float32. */
  readonly type: string;
  /** Lengths of the axes. */
  readonly dims: readonly number[];
  /** Throws for tensors on a GPU; see `location`. */
  readonly data: unknown;
  /** Where the data is: cpu, gpu-buffer, … */
  readonly location?: string;
  /** The data, fetched from where it is. */
  getData?(release?: boolean): Promise<unknown>;
  /** Frees what is held outside JavaScript. */
  dispose?(): void;
}

/** What a session says of one of its inputs or outputs. */
export interface ValueMetadata {
  /** As in the graph. */
  readonly name: string;
  /** False for sequences and maps. */
  readonly isTensor?: boolean;
  /** Element type, such as float32. */
  readonly type?: string;
  /** Lengths; a text names one that is free. */
  readonly shape?: readonly (number | string)[];
}

/** Tensors by input name. */
export type Feeds = Readonly<Record<string, OrtTensor>>;
/** Names of the outputs wanted, or tensors to write them into. */
export type Fetches = readonly string[] | Readonly<Record<string, OrtTensor | null>>;

/** A session of ONNX Runtime, as onnxruntime-common has it. */
export interface OrtSession {
  /** Inputs of the graph, in its order. */
  readonly inputNames: readonly string[];
  /** Outputs of the graph, in its order. */
  readonly outputNames: readonly string[];
  /** Name, type and shape of each input. */
  readonly inputMetadata?: readonly ValueMetadata[];
  /** Name, type and shape of each output. */
  readonly outputMetadata?: readonly ValueMetadata[];
  /** Runs the graph and returns all outputs by name. */
  run(feeds: Feeds, options?: object): Promise<Record<string, OrtTensor>>;
  /** Runs the graph and returns the outputs wanted. */
  run(feeds: Feeds, fetches: Fetches, options?: object): Promise<Record<string, OrtTensor>>;
  /** Frees the session. */
  release(): Promise<void>;
}

/** ONNX Runtime as a module: onnxruntime-node, onnxruntime-web, or one of your own. */
export interface Runtime {
  /** Makes sessions, of a path or of bytes. */
  readonly InferenceSession: {
    create(model: Uint8Array | string, options?: object): Promise<OrtSession>;
  };
  /** Makes tensors. */
  readonly Tensor: new (
    type: string,
    data: unknown,
    dims: readonly number[],
  ) => OrtTensor;
  /** Where it is known otherwise than by what the module holds. */
  readonly backend?: Backend;
}

/** Which of its packages ONNX Runtime is: onnxruntime-node or onnxruntime-web. */
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
