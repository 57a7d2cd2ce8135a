/**
 * What attention over documents is made of, for one batch row: importance without positions, shifts from its order, and
 * logits with a query turned for each document. Letters as in kernels/; k documents, R rows, C key columns, G = H/K.
 */

import { type Emit, HIDDEN } from '../../../onnx/emitter.ts';
import { DataType } from '../../../onnx/index.ts';
import * as pattern from '../functions/pattern.ts';
import { type Rotary, rotateMore } from './rotate.ts';

/** Sizes known when the graph is made. */
export interface Sizes {
  readonly H: number;
  readonly K: number;
  readonly D: number;
  /** k */
  readonly documents: number;
  readonly rotary: Pick<Rotary, 'interleaved' | 'dim'>;
}

/** Query heads of a group become rows of one matrix: [B, H, R, ·] to [B, K, G·R, ·]. */
export function grouped(emit: Emit, x: string, { K }: Pick<Sizes, 'K'>): string {
  return emit('Reshape', [x, emit.ints(0, K, -1, 0)]);
}

/** Back: [B, H, R, ·]. */
export function ungrouped(emit: Emit, x: string, { H }: Pick<Sizes, 'H'>): string {
  return emit('Reshape', [x, emit.ints(0, H, -1, 0)]);
}

/** q [B, H, R, D] (scaled), k [B, K, C, D] → q·kᵀ [B, H, R, C]. */
export function products(emit: Emit, q: string, k: string, sizes: Sizes): string {
  const transposed = emit('Transpose', [k], { perm: [0, 1, 3, 2] });
  return ungrouped(emit, emit('MatMul', [grouped(emit, q, sizes), transposed]), sizes);
}

/** Mean weight per key of each document: logits [B, H, R, W] without positions, average [B, 1, W, k] → [B, H, R, k]. */
export function importance(emit: Emit, logits: string, average: string): string {
  return emit('MatMul', [emit('Softmax', [logits], { axis: -1 }), average]);
}

/**
 * Length of the documents that come before each one when they are ordered by importance, [B, H, R, 1, k] float: sizes
 * are whole numbers, exact in float32. Of equally important documents the one that `earlier` names comes first.
 * @param importances [B, H, R, k]
 */
export function shiftsOf(emit: Emit, importances: string, earlier: string, lengths: string): string {
  const x = emit('Unsqueeze', [importances, emit.ints(4)]); // [B, H, R, k, 1]
  const j = emit('Unsqueeze', [importances, emit.ints(3)]); // [B, H, R, 1, k]
  const before = emit('Or', [emit('Greater', [x, j]), emit('And', [emit('Equal', [x, j]), earlier])]);
  return emit('MatMul', [lengths, emit('Cast', [before], { to: DataType.FLOAT })]);
}

/**
 * Logits with positions, by runs of keys: what comes before the documents, each document, what comes after.
 *
 * @param q [1, H, R, D], scaled, at base positions
 * @param shifts [k·H, R] int64, document by document
 * @param k [1, K, C, D] at base positions @param sizes [k + 2] int64, of the runs
 * @returns [1, H, R, C]
 */
export function logitsByRun(
  emit: Emit,
  q: string,
  shifts: string,
  k: string,
  runs: string,
  sizes: Sizes,
): string {
  const { H, K, D, documents } = sizes;
  const copies = emit('Expand', [q, emit.ints(documents, 1, 1, 1)]); // [k, H, R, D]
  const flat = emit('Reshape', [copies, emit.ints(documents * H, -1, D)]);
  const tables = { shiftCos: 'shift_cos', shiftSin: 'shift_sin' };
  const turned = rotateMore(emit, flat, shifts, { ...tables, ...sizes.rotary }, D);
  const byDocument = emit('Reshape', [turned, emit.ints(documents, K, -1, D)]); // [k, K, G·R, D]
  const queries = emit.many(documents, 'Split', [byDocument, emit.ints(...Array(documents).fill(1))], {
    axis: 0,
  });
  const plain = grouped(emit, q, sizes);
  const keys = emit.many(documents + 2, 'Split', [k, runs], { axis: 2 });
  const parts = keys.map((run, i) => {
    const query = i === 0 || i > documents ? plain : queries[i - 1]!;
    return emit('MatMul', [query, emit('Transpose', [run], { perm: [0, 1, 3, 2] })]);
  });
  return ungrouped(emit, emit('Concat', parts, { axis: 3 }), sizes);
}

/** Optional inputs of an attention function that touch its logits. */
export type Extras = ReadonlySet<'softcap' | 'head_sink' | 'bias'>;

/** Probabilities of logits [1, H, R, C]; `bias` and `hidden` broadcast to them and are added after the soft cap. */
export function probabilities(
  emit: Emit,
  logits: string,
  extras: Extras,
  ...added: readonly (string | undefined)[]
): string {
  const capped = extras.has('softcap') ? emit.call(pattern.softCap, logits, 'softcap')[0]! : logits;
  const scores = added.reduce<string>((sum, bias) => (bias ? emit('Add', [sum, bias]) : sum), capped);
  if (extras.has('head_sink')) return emit.call(pattern.sinkSoftmax, scores, 'head_sink')[0]!;
  return emit('Softmax', [scores], { axis: -1 });
}

/** Probabilities [1, H, R, C], v [1, K, C, E] → [1, H, R, E]. */
export function weighted(emit: Emit, probs: string, v: string, sizes: Sizes): string {
  return ungrouped(emit, emit('MatMul', [grouped(emit, probs, sizes), v]), sizes);
}

/** `hidden` bool → 0, and very low where it is true. */
export function hiding(emit: Emit, hidden: string): string {
  return emit('Where', [hidden, emit.float(HIDDEN), emit.float(0)]);
}
