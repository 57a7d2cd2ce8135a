/** What attune knows of the copy of transformers.js that a model comes from. */
import type { Runtime } from '../session/index.ts';

/** The part of transformers.js's `env` that says where model files are. */
export interface HostEnvironment {
  readonly version?: string;
  readonly cacheDir?: string | null;
  readonly localModelPath?: string;
  readonly allowRemoteModels?: boolean;
  readonly remoteHost?: string;
  readonly remotePathTemplate?: string;
  readonly allowLocalModels?: boolean;
  readonly useBrowserCache?: boolean;
  readonly useCustomCache?: boolean;
  readonly customCache?: Pick<Cache, 'match'> | null;
  readonly cacheKey?: string;
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
