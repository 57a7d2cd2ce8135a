/** What attune knows of the copy of transformers.js that a model comes from. */
import type { Runtime } from '../session/index.ts';

/** The part of transformers.js's `env` that says where model files are. */
export interface HostEnvironment {
  /** Version of transformers.js. */
  readonly version?: string;
  /** Folder of its file cache; null without one. */
  readonly cacheDir?: string | null;
  /** Folder that ids are looked up in. */
  readonly localModelPath?: string;
  /** Whether it may go to the Hub. */
  readonly allowRemoteModels?: boolean;
  /** Address of the Hub. */
  readonly remoteHost?: string;
  /** Path of a file below it, with {model} and {revision}. */
  readonly remotePathTemplate?: string;
  /** Whether localModelPath is looked at. */
  readonly allowLocalModels?: boolean;
  /** Whether files are kept in the browser's cache. */
  readonly useBrowserCache?: boolean;
  /** Whether customCache is asked. */
  readonly useCustomCache?: boolean;
  /** A cache of the caller's. */
  readonly customCache?: Pick<Cache, 'match'> | null;
  /** Name of the browser's cache. */
  readonly cacheKey?: string;
  /** What files are fetched with; default the global one. */
  fetch?(address: string, init?: unknown): Promise<Response>;
}

export interface Host {
  readonly env: HostEnvironment;
  readonly runtime: Runtime;
}

/** Has a static from_pretrained: every class of models. */
export interface LoadingClass {
  from_pretrained(idOrFolder: string, options?: object): Promise<unknown>;
}
