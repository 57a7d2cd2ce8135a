/**
 * Edits of the probabilities where they are a value of the graph: the same forms as in the expanded lowering, applied to
 * the whole map.
 */
import { AttuneError } from '../../errors.ts';
import { type Emit, emitter } from '../../onnx/emitter.ts';
import { DataType } from '../../onnx/index.ts';
import type { Edit, Values } from '../edits/edit.ts';
import { joined, type Part } from '../site/fragment.ts';
import { type Extent, wholeBlock } from './blocks.ts';
import { callOf, columnSums, mapBlock, realRows } from './call.ts';
import { inOrder } from './edits.ts';

export interface PatternSite {
  readonly name: string;
  readonly opset: number;
  /** [B, H, S, T] float32, of causal attention. */
  readonly pattern: string;
  /** [B, T], 0 at padding. */
  readonly attentionMask: string | undefined;
  /** Keys seen to the left, the row's own included. */
  readonly window: number | undefined;
  /** Rows of padding may be NaN: the graph puts that right further on. */
  readonly guarded: boolean;
}

/**
 * Results: 'pattern', and what edits find and carry on, by local name.
 * @throws AttuneError LOWERING_LACKS_EDIT for edits that act before the pattern or after it
 */
export function editedPattern(site: PatternSite, given: readonly Edit[], values: Values): Part {
  const edits = inOrder(given);
  const other = edits.find(({ row }) => row.pattern === undefined);
  if (other) {
    throw new AttuneError('LOWERING_LACKS_EDIT', {
      at: site.name,
      found: `edit '${other.row.kind}'`,
      expected: 'an edit of the probabilities where the pattern is a value of the graph',
      hint: 'Logits and head outputs have plan edits of their own: bias, query-scale, write.',
    });
  }
  const emit = emitter(site.opset, `${site.name}.`);
  const extent = extentOf(emit, site);
  const real = site.attentionMask && emit('Cast', [site.attentionMask], { to: DataType.FLOAT });
  const rows = realRows(emit, real, extent);
  const call = callOf(emit, { extent, real, rows, value: (name) => values[name]! });
  const block = mapBlock(wholeBlock(emit, extent), extent);
  const before = site.guarded && rows ? withoutPadding(emit, site.pattern, rows) : site.pattern;

  let pattern = before;
  let sums: string | undefined;
  const results: Record<string, string> = {};
  for (const { row, options } of edits) {
    const finds = (row.finds?.(options) ?? []).length > 0;
    if (finds) sums ??= columnSums(block, before, rows);
    const found = finds ? row.find?.(options, emit, call, sums!) : undefined;
    Object.assign(results, found?.values, found?.states);
    pattern = row.pattern!(options, call)(block, pattern, found);
  }
  return joined([emit], { ...results, pattern });
}

function extentOf(emit: Emit, { pattern, window }: PatternSite): Extent {
  const [S, T] = [emit.dim(pattern, 2), emit.dim(pattern, 3)];
  return {
    S,
    T,
    past: emit('Sub', [T, S]),
    causal: true,
    window: window === undefined ? undefined : emit.ints(window),
  };
}

/** Rows of padding as zeros. @param rows float32 [B, 1, 1, S], 1 at real rows */
function withoutPadding(emit: Emit, pattern: string, rows: string): string {
  const column = emit('Transpose', [rows], { perm: [0, 1, 3, 2] });
  return emit('Where', [emit('Cast', [column], { to: DataType.BOOL }), pattern, emit.float(0)]);
}
