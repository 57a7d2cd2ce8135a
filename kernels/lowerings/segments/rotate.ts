/**
 * Rotary positions for segments. Keys and queries are rotated once to their base positions; a query then meets a
 * document rotated by that document's shift, R(q, m + shift) = R(R(q, m), shift), so no position lies past the sequence.
 */
import type { Emit } from '../../../onnx/emitter.ts';

export interface Rotary {
  /** [N, dim/2] float32 values for positions 0 … N - 1, N at least T + 1. */
  readonly cos: string;
  readonly sin: string;
  /** The same without a constant factor that scaled rotary embeddings put on them, for rotating a second time. */
  readonly shiftCos: string;
  readonly shiftSin: string;
  readonly interleaved: boolean;
  /** Rotated channels, D or fewer. */
  readonly dim: number;
}

interface Heads {
  readonly heads: number;
  readonly D: number;
}

/** @param x [B, N, S, D] or [B, S, N·D] float @param positions [B, S] int64 */
export function rotate(emit: Emit, x: string, positions: string, rotary: Rotary, heads: Heads): string {
  return embedding(emit, [x, positions, rotary.cos, rotary.sin], rotary, heads);
}

/**
 * Every row rotated by a shift of its own, all heads of all documents at once.
 * @param x [N, S, D] float @param shifts [N, S] int64
 */
export function rotateMore(
  emit: Emit,
  x: string,
  shifts: string,
  rotary: Omit<Rotary, 'cos' | 'sin'>,
  D: number,
) {
  return embedding(emit, [x, shifts, rotary.shiftCos, rotary.shiftSin], rotary, { heads: 1, D });
}

type Form = Pick<Rotary, 'interleaved' | 'dim'>;

function embedding(emit: Emit, inputs: readonly string[], { interleaved, dim }: Form, { heads, D }: Heads) {
  const partial: Record<string, number> = dim < D ? { rotary_embedding_dim: dim, num_heads: heads } : {};
  return emit('com.microsoft.RotaryEmbedding', inputs, { interleaved: interleaved ? 1 : 0, ...partial });
}

/** Tables without the factor that position 0 shows, cos 0 = 1: exact where there is none. */
export function shiftTables(emit: Emit, cos: string, sin: string): { shiftCos: string; shiftSin: string } {
  const factor = emit('Slice', [cos, emit.ints(0, 0), emit.ints(1, 1), emit.ints(0, 1)]); // [1, 1]
  return { shiftCos: emit('Div', [cos, factor]), shiftSin: emit('Div', [sin, factor]) };
}
