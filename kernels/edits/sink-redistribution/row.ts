/** Sink redistribution of one decoded row. */
import type { RowCall, RowForm } from '../edit.ts';
import { isOneRow, zeroPerHead } from '../one-row.ts';
import type { Redistribution } from './options.ts';
import { looks, massesOf, moved } from './transfer.ts';

/**
 * While decoding, one new row of text. Which keys receive, give and are seen does not change any more, so three rows of
 * marks that the prompt left stand for them, and two small products with the pattern are all it takes:
 *
 *   [m_A, m_S, m_V] = P Gᵀ,   P' = P (1 + [p m_S / m_A, −p, 0] G)   in selected heads
 *
 * @param call with the value `groups` float32 [B, 3, T] beside those of the knobs: 1 at visual keys that are no sinks, at
 *   sinks, at visual keys
 * @returns undefined where the short form does not apply
 */
export function redistributeRow({ semantics, rows }: Redistribution, call: RowCall): RowForm | undefined {
  const { context, site, S, T } = call;
  const { groups, visual, min_visual, rho } = call.values;
  if (semantics !== 'paper' || rows !== 'text' || !groups || !visual) return undefined;
  const { emit, once } = context;
  const applies = once(`redistribution:one row of text ${S} ${T} ${visual}`, () => {
    const own = emit.slice(visual, 1, emit.op('Sub', [T, emit.ints(1)], 'last'), T);
    const images = emit.op('ReduceSum', [own, emit.ints(0, 1)], 'image_rows', { keepdims: 0 });
    const text = emit.op('Equal', [images, emit.scalar(0)], 'text');
    return emit.op('And', [isOneRow(context, S, T), text], 'row_of_text');
  });
  const perRow = (x: string) =>
    once(`redistribution:per row ${x}`, () => emit.op('Unsqueeze', [x, emit.ints(2)], 'per_row'));
  const shared = { rho: perRow(rho!), minVisual: perRow(min_visual!), zero: zeroPerHead(context, site) };
  return {
    applies,
    edit: (inner, pattern, values) => {
      const keys = inner('Transpose', [values.groups!], { perm: [0, 2, 1] });
      const masses = massesOf(inner, pattern, keys, 2); // [B, H, 1] each
      const selected = looks(inner, masses, shared.rho, shared.minVisual);
      const p = inner('Unsqueeze', [values.p!, inner.ints(2)]);
      const { gained, given } = moved(inner, masses, selected, p);
      const weights = inner('Concat', [gained, inner('Neg', [given]), shared.zero], { axis: 2 }); // [B, H, 3]
      const change = inner('MatMul', [weights, values.groups!]); // [B, H, T]
      return { pattern: inner('Mul', [pattern, inner('Add', [change, inner.float(1)])]), states: {} };
    },
  };
}
