/** The page of the browser check: what its driver asks for, here or in a worker. */
import { env } from '@huggingface/transformers';
import { decodeTimes, languageTokens, type Place, visionTokens } from './scenario.ts';

const WORK = { languageTokens, visionTokens, decodeTimes };
export type WorkName = keyof typeof WORK;

/** Models of the page's own site, no cache and no Hub. */
export function useOwnSite(origin: string): void {
  env.allowLocalModels = true;
  env.allowRemoteModels = false;
  env.localModelPath = '/models/';
  env.useBrowserCache = false;
  env.useWasmCache = false;
  const file = (ending: string) => new URL(`/ort/ort-wasm-simd-threaded.asyncify.${ending}`, origin).href;
  env.backends.onnx.wasm!.wasmPaths = { mjs: file('mjs'), wasm: file('wasm') };
}

export async function perform(name: WorkName, place: Place, pairs: number): Promise<unknown> {
  return WORK[name](place, pairs);
}

interface Asked {
  readonly name: WorkName;
  readonly place: Place;
  readonly pairs: number;
  readonly origin: string;
}

const reply = async ({ name, place, pairs, origin }: Asked): Promise<object> => {
  try {
    useOwnSite(origin);
    return { result: await perform(name, place, pairs) };
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
