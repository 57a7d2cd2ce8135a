import type { Runtime } from '../runtime.ts';
import type { LoadedAddon } from './addon.ts';
import type { NativeSession } from './session.ts';

/** A Runtime whose sessions are native. Its tensors are those of onnxruntime-node, which transformers.js uses. */
export interface NativeRuntime extends Runtime {
  /** Makes native sessions, of a path or of bytes. */
  readonly InferenceSession: {
    create(model: string | Uint8Array, options?: object): Promise<NativeSession>;
  };
  /** What is in force: paths of addon and library, ONNX Runtime's version, operators with a kernel. */
  readonly native: Pick<LoadedAddon, 'path' | 'library' | 'version' | 'operators'>;
  /** As onnxruntime-node has it: cpu. */
  listSupportedBackends(): { name: string; bundled: boolean }[];
}

export const isNative = (runtime: Runtime): runtime is NativeRuntime => 'native' in runtime;
