/**
 * What decides which keys stay: a score for each key of one kv head, larger is kept. A score is a row: its name, its parameters,
 * what it reads, and the formula.
 */
import type { z } from 'zod';

/** One kv head of one layer and row. Letters: N keys in the cache, D head size. */
export interface Head {
  readonly layer: number;
  readonly row: number;
  readonly head: number;
  /** [N]: column of each key's token in the sequence. */
  readonly columns: Int32Array;
  /** [N, D] as they are in the cache, rotated; where `reads` says keys. */
  readonly keys: Float32Array;
  readonly D: number;
  /** [N]: attention that each key got in the rows that `attention` asks for, the mean over the query heads of the group. */
  readonly attention: Float32Array;
}

/** Which rows of the attention are summed up for each key. */
export type AttentionRows =
  /** The last rows of the call that ends in an eviction. */
  | { readonly last: number }
  /** All rows of all calls. */
  | 'all';

export interface Score<S = unknown> {
  readonly name: string;
  /** What it keeps, in a few words. */
  readonly doc: string;
  readonly reference: string;
  /** Parameters beside its name. */
  readonly parameters: Readonly<Record<string, z.ZodType>>;
  readonly reads: 'columns' | 'keys' | 'attention';
  attention?(parameters: S): AttentionRows;
  /** Who shares one choice, where the specification does not say. */
  readonly granularity: 'model' | 'layer' | 'head';
  /** Where kept keys stand, where the specification does not say. */
  readonly positions: 'slots' | 'true';
  /** @returns [N] */
  of(head: Head, parameters: S): Float32Array;
}
