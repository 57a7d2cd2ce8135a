/** Which runtime a model runs on: as asked, or the native one where it can be had; and why. */
import { AttuneError, isAttuneError } from '../../../errors.ts';
import { inNode } from '../../../onnx/index.ts';
import { isInstalled, loadRuntime, type Runtime } from '../runtime.ts';
import type { AddonPaths } from './addon.ts';
import { isNative, type NativeRuntime } from './native-runtime.ts';

/** The runtimes that can be asked for by name. */
export const RUNTIME_NAMES = ['native', 'onnxruntime', 'wasm'] as const;
/**
 * 'native': ONNX Runtime through attune's addon, caches in native memory; 'onnxruntime': onnxruntime-node (in a browser
 * onnxruntime-web); 'wasm': onnxruntime-web.
 */
export type RuntimeName = (typeof RUNTIME_NAMES)[number];

/** The runtime that was chosen, and why. */
export interface ChosenRuntime {
  /** 'given' for a runtime that the caller made. */
  readonly name: RuntimeName | 'given';
  /** Why this one, in a sentence. */
  readonly reason: string;
  /** Of ONNX Runtime, where it is known. */
  readonly version?: string;
  /** What makes its sessions and tensors. */
  readonly runtime: Runtime;
}

/** What a runtime is chosen by. */
export interface RuntimeWish {
  /** By name, or one of the caller's own. Default: native where the addon loads, else onnxruntime. */
  readonly runtime?: RuntimeName | Runtime | undefined;
  /** As transformers.js names devices. */
  readonly device?: string | undefined;
  /** The runtime of the transformers.js at hand; default that of the installed one. */
  readonly host?: Runtime | undefined;
  /** Options of InferenceSession.create. */
  readonly session?: Readonly<Record<string, unknown>> | undefined;
}

/**
 * The runtime for a model: as asked, or the native one where its addon loads.
 *
 * @example const { name, reason } = await chooseRuntime();
 *
 * @throws AttuneError RUNTIME_UNKNOWN for another name; where one was asked for by name, what loading it throws: NATIVE_ADDON,
 * NATIVE_LIBRARY, NATIVE_OPTION, THREADS_INVALID, RUNTIME_MISSING
 */
export async function chooseRuntime(wish: RuntimeWish = {}): Promise<ChosenRuntime> {
  const { runtime, device = 'cpu', session = {}, host } = wish;
  if (typeof runtime === 'object') {
    const name = isNative(runtime) ? 'native' : 'given';
    return { name, reason: 'the caller gave it', ...versionOf(runtime), runtime };
  }
  if (runtime === undefined) return automatic(device, session, host);
  if (runtime === 'native') {
    if (device !== 'cpu') throw onlyCpu(device);
    await checkSettings(session);
    return native(await theNativeRuntime(), 'asked for by name');
  }
  if (runtime === 'onnxruntime') {
    return { name: runtime, reason: 'asked for by name', runtime: host ?? (await loadRuntime()) };
  }
  if (runtime === 'wasm') {
    return { name: runtime, reason: 'asked for by name', runtime: await loadRuntime('web') };
  }
  throw new AttuneError('RUNTIME_UNKNOWN', {
    found: `runtime "${String(runtime)}"`,
    expected: `${RUNTIME_NAMES.join(', ')}, or an object with InferenceSession and Tensor`,
  });
}

async function automatic(
  device: string,
  session: Readonly<Record<string, unknown>>,
  host: Runtime | undefined,
): Promise<ChosenRuntime> {
  const stay = async (reason: string): Promise<ChosenRuntime> => ({
    name: inNode() ? 'onnxruntime' : 'wasm',
    reason,
    runtime: host ?? (await loadRuntime()),
  });
  if (!inNode()) return stay('the addon is for Node');
  if (host && !(await isInstalled(host))) return stay('the model is of another copy of transformers.js');
  if (device !== 'cpu') return stay(`the addon runs on the cpu, the model on ${device}`);
  try {
    await checkSettings(session);
    return native(await theNativeRuntime(), 'the addon is built and its library fits');
  } catch (error) {
    const ours = ['NATIVE_ADDON', 'NATIVE_LIBRARY', 'NATIVE_OPTION', 'THREADS_INVALID'];
    if (ours.some((code) => isAttuneError(error, code))) return stay((error as Error).message);
    throw error;
  }
}

const native = (runtime: NativeRuntime, reason: string): ChosenRuntime => ({
  name: 'native',
  reason,
  ...versionOf(runtime),
  runtime,
});

const versionOf = (runtime: Runtime) => (isNative(runtime) ? { version: runtime.native.version } : {});

/** What is native is loaded when it is wanted, so that bundles for browsers need not carry it. */
async function checkSettings(session: Readonly<Record<string, unknown>>): Promise<void> {
  const { sessionSettings } = await import('./options.ts');
  sessionSettings(session);
}

let loaded: Promise<NativeRuntime> | undefined;

/** One for the process; a failure is tried again, as the addon may be built meanwhile. */
function theNativeRuntime(): Promise<NativeRuntime> {
  loaded ??= load().catch((error: unknown) => {
    loaded = undefined;
    throw error;
  });
  return loaded;
}

async function load(): Promise<NativeRuntime> {
  return loadNativeRuntime();
}

/**
 * The runtime of the addon, whose module is loaded only then.
 *
 * @example const runtime = await loadNativeRuntime(); await attune(AutoModelForCausalLM, id, { runtime });
 * @throws AttuneError NATIVE_* saying what is missing or does not fit
 */
export async function loadNativeRuntime(paths: AddonPaths = {}): Promise<NativeRuntime> {
  const native = await import('./index.ts');
  return native.loadNativeRuntime(paths);
}

function onlyCpu(device: string): AttuneError {
  return new AttuneError('NATIVE_OPTION', {
    found: `device ${device}`,
    expected: 'cpu, where the native runtime runs',
    hint: 'Leave the runtime to attune, or use runtime: "onnxruntime".',
  });
}

/** Execution providers that a choice implies. @param host the runtime that transformers.js chose the device for */
export function providersOf(
  { name, runtime }: ChosenRuntime,
  device: string | undefined,
  host: Runtime,
): object {
  if (name === 'wasm') return { executionProviders: ['wasm'] };
  return runtime === host && device ? { executionProviders: [device] } : {};
}
