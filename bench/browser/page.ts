/** The page of the browser check: what its driver asks for, here or in a worker. */
import { env } from '@huggingface/transformers';
import { beginKeeping, faultCodes, sourceTokens, whatIsKept } from './files.ts';
import { decodeTimes, languageTokens, plainTokens, visionTokens } from './scenario.ts';

const WORK = {
  languageTokens,
  plainTokens,
  visionTokens,
  decodeTimes,
  sourceTokens,
  faultCodes,
  beginKeeping,
  whatIsKept,
};
export type WorkName = keyof typeof WORK;

/** Models of the page's own site, no cache and no Hub. */
function useOwnSite(origin: string): void {
  env.allowLocalModels = true;
  env.allowRemoteModels = false;
  env.localModelPath = '/models/';
  env.useBrowserCache = false;
  env.useWasmCache = false;
  const file = (ending: string) => new URL(`/ort/ort-wasm-simd-threaded.asyncify.${ending}`, origin).href;
  env.backends.onnx.wasm!.wasmPaths = { mjs: file('mjs'), wasm: file('wasm') };
}

interface Asked {
  readonly name: WorkName;
  /** Of the function. */
  readonly given: readonly unknown[];
  readonly origin: string;
  /** Of wasm; default: what ONNX Runtime takes. */
  readonly threads?: number;
}

const reply = async ({ name, given, origin, threads }: Asked): Promise<object> => {
  try {
    useOwnSite(origin);
    if (threads) env.backends.onnx.wasm!.numThreads = threads;
    const work = WORK[name] as (...given: readonly unknown[]) => Promise<unknown>;
    return { result: await work(...given), isolated: globalThis.crossOriginIsolated };
  } catch (error) {
    return { error: String((error as Error).stack ?? error) };
  }
};

if (typeof document === 'undefined') {
  globalThis.onmessage = async ({ data }: MessageEvent<Asked>) => globalThis.postMessage(await reply(data));
} else {
  Object.assign(globalThis, {
    inPage: (asked: Asked) => reply(asked),
    inWorker: (asked: Asked) =>
      new Promise((resolve) => {
        const worker = new Worker(new URL(import.meta.url), { type: 'module' });
        worker.onmessage = ({ data }) => resolve(data);
        worker.onerror = ({ message }) => resolve({ error: message });
        worker.postMessage(asked);
      }),
  });
}
