/** ONNX Runtime through the native addon: a runtime like onnxruntime-node, with caches that never leave it. */
import { native } from '../../../kernels/lowerings/native/index.ts';
import { addLowering } from '../../../kernels/lowerings/registry.ts';
import { loadRuntime, type Runtime } from '../runtime.ts';
import { type AddonPaths, loadAddon } from './addon.ts';
import type { NativeRuntime } from './native-runtime.ts';
import { NativeSession } from './session.ts';

export type { AddonPaths } from './addon.ts';
export { isNative, type NativeRuntime } from './native-runtime.ts';
export type { NativeSession } from './session.ts';

addLowering(native);

/** onnxruntime-common's log levels, which transformers.js sets. */
const SEVERITY: Readonly<Record<string, number>> = { verbose: 0, info: 1, warning: 2, error: 3, fatal: 4 };

/**
 * @throws AttuneError NATIVE_ADDON, NATIVE_LIBRARY with what is missing and what to do; RUNTIME_MISSING without onnxruntime-node
 */
export async function loadNativeRuntime(paths: AddonPaths = {}): Promise<NativeRuntime> {
  const node = (await loadRuntime('node')) as Runtime & { env?: { logLevel?: string } };
  const { Tensor } = node;
  const loaded = await loadAddon(paths);
  const { path, library, version, operators } = loaded;
  const runtime: NativeRuntime = {
    InferenceSession: {
      create: (model, options) => {
        const logSeverityLevel = SEVERITY[node.env?.logLevel ?? ''];
        return NativeSession.create(loaded, runtime, model, { logSeverityLevel, ...options });
      },
    },
    Tensor,
    native: { path, library, version, operators },
    listSupportedBackends: () => [{ name: 'cpu', bundled: true }],
  };
  return runtime;
}
