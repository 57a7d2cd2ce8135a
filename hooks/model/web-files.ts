/**
 * Files of a model in a browser, where transformers.js finds or has put them: its cache, below env.localModelPath, on the Hub.
 * Follows its naming (utils/hub.js).
 */
import { AttuneError } from '../../errors.ts';
import type { HostEnvironment } from './host-environment.ts';

export interface WebPlace {
  /** Hub id, or the address of a folder. */
  readonly id: string;
  readonly revision: string;
  readonly env: HostEnvironment;
}

/** As transformers.js has it before anyone changes it. */
const DEFAULTS = {
  localModelPath: '/models/',
  remoteHost: 'https://huggingface.co/',
  remotePathTemplate: '{model}/resolve/{revision}/',
  cacheKey: 'transformers-cache',
} as const;

type Cached = Pick<Cache, 'match'>;

/**
 * @param path from the model's folder: onnx/model.onnx
 * @returns undefined where there is no such file
 * @throws AttuneError FETCH_FAILED when the server cannot be reached or refuses
 */
export async function webFile(place: WebPlace, path: string): Promise<Blob | undefined> {
  const { local, remote } = addressesOf(place, path);
  const cache = await cacheOf(place.env);
  for (const address of [local, remote]) {
    const cached = address && (await cache?.match(address).catch(() => undefined));
    if (cached) return cached.blob();
  }
  const { allowLocalModels = true, allowRemoteModels = true } = place.env;
  const addresses = [
    ...(local && allowLocalModels ? [local] : []),
    ...(remote && allowRemoteModels ? [remote] : []),
  ];
  for (const address of addresses) {
    const response = await asked(address, place.env);
    // A page's server may answer a page for what it does not have.
    const isPage = response.headers.get('content-type')?.startsWith('text/html');
    if (response.ok && !isPage) return response.blob();
  }
  return undefined;
}

/** Where a file may lie, by address. */
export function addressesOf(
  { id, revision, env }: WebPlace,
  path: string,
): { readonly local: string | undefined; readonly remote: string | undefined } {
  if (/^(https?|blob|data):/.test(id)) return { local: joined(id, path), remote: undefined };
  const { localModelPath, remoteHost, remotePathTemplate } = { ...DEFAULTS, ...env };
  const isId = /^(\b[\w\-.]+\b\/)?\b[\w\-.]{1,96}\b$/.test(id);
  const folder = remotePathTemplate
    .replaceAll('{model}', id)
    .replaceAll('{revision}', encodeURIComponent(revision));
  return {
    local: isId ? joined(localModelPath, id, path) : joined(id, path),
    remote: isId ? joined(remoteHost, folder, path) : undefined,
  };
}

const joined = (...parts: readonly string[]): string =>
  parts
    .map((part, index) => (index === 0 ? part : part.replace(/^\/+/, '')))
    .map((part, index) => (index === parts.length - 1 ? part : part.replace(/\/+$/, '')))
    .join('/');

async function cacheOf(env: HostEnvironment): Promise<Cached | undefined> {
  if (env.useCustomCache) return env.customCache ?? undefined;
  if (env.useBrowserCache === false || typeof caches === 'undefined') return undefined;
  // Not to be had in some frames and private windows; transformers.js goes on without it too.
  return caches.open(env.cacheKey ?? DEFAULTS.cacheKey).catch(() => undefined);
}

async function asked(address: string, env: HostEnvironment): Promise<Response> {
  try {
    return await (env.fetch ?? fetch)(address);
  } catch (cause) {
    throw new AttuneError('FETCH_FAILED', {
      at: address,
      found: (cause as Error).message,
      hint: 'The server is not reached, or does not let this page read from it (CORS).',
      cause,
    });
  }
}
