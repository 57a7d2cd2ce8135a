import type { Runtime } from '../runtime.ts';
import type { LoadedAddon } from './addon.ts';
import type { NativeSession } from './session.ts';

/** A Runtime whose sessions are native. Its tensors are those of onnxruntime-node, which transformers.js uses. */
export interface NativeRuntime extends Runtime {
  readonly InferenceSession: {
    create(model: string | Uint8Array, options?: object): Promise<NativeSession>;
  };
  /** What is in force: paths of addon and library, ONNX Runtime's version, operators with a kernel. */
  readonly native: Pick<LoadedAddon, 'path' | 'library' | 'version' | 'operators'>;
  listSupportedBackends(): { name: string; bundled: boolean }[];
}

export const isNative = (runtime: Runtime): runtime is NativeRuntime => 'native' in runtime;
