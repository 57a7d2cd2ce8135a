/**
 * ONNX Runtime behind one small interface, so that a session does not care whether it is onnxruntime-node,
 * onnxruntime-web or one the caller injects. The shapes follow onnxruntime-common.
 */
import { AttuneError } from '../../errors.ts';

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
    create(model: Uint8Array, options?: object): Promise<OrtSession>;
  };
  readonly Tensor: new (type: string, data: unknown, dims: readonly number[]) => OrtTensor;
}

export type Backend = 'node' | 'web';

/**
 * The installed runtime.
 * @param backend 'node': onnxruntime-node (cpu, webgpu, cuda…); 'web': onnxruntime-web (wasm, webgpu)
 * @throws AttuneError RUNTIME_MISSING when the package cannot be loaded
 */
export async function loadRuntime(backend: Backend = inNode() ? 'node' : 'web'): Promise<Runtime> {
  const name = backend === 'node' ? 'onnxruntime-node' : 'onnxruntime-web';
  try {
    const module = backend === 'node' ? await import('onnxruntime-node') : await import('onnxruntime-web');
    return ('InferenceSession' in module
      ? module
      : (module as { default: unknown }).default) as unknown as Runtime;
  } catch (cause) {
    throw new AttuneError('RUNTIME_MISSING', {
      found: `${name} could not be loaded: ${(cause as Error).message}`,
      hint: `npm install ${name}, or pass your own runtime.`,
      cause,
    });
  }
}

export function inNode(): boolean {
  return typeof process !== 'undefined' && process.versions?.node !== undefined;
}

/** onnxruntime-web has environment flags for wasm; onnxruntime-node lists its backends. */
export function isWeb(runtime: Runtime): boolean {
  return !('listSupportedBackends' in runtime);
}
