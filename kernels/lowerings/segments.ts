/**
 * Scores of position-invariant attention for compose.ts: queries and keys come unrotated, keys are rotated once at their
 * base positions, queries once per document. Everything a query's row needs beyond its scores is made before the blocks.
 */
import { DataType } from '../../hooks/onnx/index.ts';
import type { Block, Extent } from './blocks.ts';
import type { Emit } from './emit.ts';
import * as pattern from './functions/pattern.ts';
import * as segments from './functions/segments.ts';

/** Rotary embedding as the com.microsoft operator takes it; tables are the function inputs cos and sin. */
export interface RotaryForm {
  readonly interleaved: boolean;
  /** Rotated channels, D or fewer. */
  readonly dim: number;
  readonly headDim: number;
}

export interface SegmentSteps {
  /** Position-free importance of a block's rows: [B, H, rows, k]. */
  masses(block: Block): string;
  /** [B, H, rows, T], from shifts [B, H, S, k] over all rows. */
  scores(block: Block, shifts: string): string;
  shifts(emit: Emit, masses: string): string;
  visibility(block: Block, causal: string): string;
}

/** @param k documents at most @param scaled q times the scale, [B, H, S, D] */
export function segmentSteps(
  emit: Emit,
  k: number,
  rotary: RotaryForm,
  scaled: string,
  { T, past }: Extent,
): SegmentSteps {
  const [limits, member, lengths, base] = emit.call(segments.documentLayout, 'bounds', T) as [
    string,
    string,
    string,
    string,
  ];
  const limit = (e: Emit, i: number) => e('Gather', [limits, e.ints(i)]);
  const start = limit(emit, 0);
  const end = limit(emit, k);
  const documentKeys = emit.slice('k', 2, start, end);
  const documentMember = emit.slice(member, 1, start, end);
  const own = emit('Transpose', [emit.slice(member, 1, past, T)], { perm: [1, 0] }); // [S, k]
  const rowBase = emit.slice(base, 1, past, T); // [1, S]
  const keys = rotate(emit, 'k', base, rotary);

  return {
    masses({ emit: e, cutRows }) {
      const raw = e.call(pattern.groupedScores, cutRows(scaled, 2), documentKeys)[0]!;
      return e.call(segments.documentMasses, raw, cutRows(own, 0), documentMember, lengths)[0]!;
    },
    shifts: (e, masses) => e.call(segments.documentShifts, masses, own, lengths)[0]!,
    scores({ emit: e, cutRows }, shifts) {
      const rows = cutRows(scaled, 2);
      const moved = cutRows(shifts, 2);
      const at = e('Unsqueeze', [cutRows(rowBase, 1), e.ints(0)]); // [1, 1, rows]
      const plain = rotate(e, rows, at, rotary);
      // Prefix, each document, the rest; documents past the sequence are empty.
      const parts = Array.from({ length: k + 2 }, (_, j) => {
        const from = j === 0 ? e.ints(0) : limit(e, j - 1);
        const to = j === k + 1 ? T : limit(e, j);
        const isDocument = j > 0 && j <= k;
        const queries = isDocument ? shifted(e, rows, at, moved, j - 1) : plain;
        return e.call(pattern.groupedScores, queries, e.slice(keys, 2, from, to))[0]!;
      });
      return e('Concat', parts, { axis: 3 });
    },
    visibility: ({ emit: e, cutRows }, causal) =>
      e.call(segments.documentVisibility, causal, cutRows(own, 0), member)[0]!,
  };

  function shifted(e: Emit, rows: string, at: string, shifts: string, j: number): string {
    const shift = e('Squeeze', [e.slice(shifts, 3, e.ints(j), e.ints(j + 1)), e.ints(3)]); // [B, H, rows]
    return rotate(e, rows, e('Add', [at, e('Cast', [shift], { to: DataType.INT64 })]), rotary);
  }
}

/**
 * RotaryEmbedding at positions of any head. The operator knows positions per batch row only, so heads become batch rows.
 * @param x [B, N, S, D] @param positions [1, S], [1, 1, S] or [B, N, S] int64
 */
function rotate(emit: Emit, x: string, positions: string, { interleaved, dim, headDim }: RotaryForm): string {
  const shape = emit('Shape', [x]);
  const flat = emit('Reshape', [
    x,
    emit('Concat', [emit.ints(-1, 1), emit('Slice', [shape, emit.ints(2), emit.ints(4)])], { axis: 0 }),
  ]);
  const each = emit('Expand', [positions, emit('Slice', [shape, emit.ints(0), emit.ints(3)])]);
  const perRow = emit('Reshape', [each, emit('Concat', [emit.ints(-1), emit.dim(x, 2)], { axis: 0 })]);
  const partial: Record<string, number> = dim < headDim ? { rotary_embedding_dim: dim, num_heads: 1 } : {};
  const turned = emit('com.microsoft.RotaryEmbedding', [flat, perRow, 'cos', 'sin'], {
    interleaved: interleaved ? 1 : 0,
    ...partial,
  });
  return emit('Reshape', [turned, shape]);
}
