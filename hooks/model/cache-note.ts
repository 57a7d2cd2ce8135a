/**
 * Caches that hold fewer keys than the tokens they stand for. Who left keys out notes it beside the tensors of the cache, so that
 * masks, positions and lengths are those of the sequence, whatever the tensors' own length says.
 */
import type { OrtTensor } from '../session/index.ts';

/** Which keys are there, by the column of their token in the sequence; -1 where a key stands for several. */
export interface KeptKeys {
  /** Layers, rows, kv heads, keys; 1 where all layers or heads have the same. */
  readonly dims: readonly [layers: number, rows: number, heads: number, keys: number];
  /** [layers, rows, heads, keys], column of each key's token. */
  readonly columns: Int32Array;
}

/** What a cache with fewer keys than tokens stands for. */
export interface CacheNote {
  /** Name of the intervention that made it. */
  readonly madeBy: string;
  /** Of its specification: only a call under the same one goes on from there. */
  readonly hash: string;
  /** Tokens it stands for, those left out included. */
  readonly tokens: number;
  /** Where the next token stands, for the model. */
  readonly position: number;
  /** Which of their keys are there. */
  readonly kept: KeptKeys;
}

/** What was noted of the first tensor of a cache, as transformers.js or ONNX Runtime hold it. */
export function noteOf(
  cache: unknown,
  known: (tensor: OrtTensor) => CacheNote | undefined,
): CacheNote | undefined {
  if (typeof cache !== 'object' || cache === null) return undefined;
  for (const value of Object.values(cache)) {
    const tensor = (value as { ort_tensor?: OrtTensor } | null)?.ort_tensor ?? (value as OrtTensor);
    const note = typeof tensor === 'object' && tensor !== null ? known(tensor) : undefined;
    if (note) return note;
  }
  return undefined;
}

/** transformers.js asks a cache how many tokens it stands for, to find those of a prompt that are new. */
export function tellTokens(cache: unknown, known: (tensor: OrtTensor) => CacheNote | undefined): void {
  if (noteOf(cache, known) === undefined) return;
  Object.defineProperty(cache, 'get_seq_length', {
    configurable: true,
    writable: true,
    value(this: Readonly<Record<string, { dims: readonly number[] }>>) {
      return noteOf(this, known)?.tokens ?? Object.values(this)[0]?.dims.at(-2) ?? 0;
    },
  });
}
