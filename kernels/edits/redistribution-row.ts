/**
 * VAR while decoding, one new row of text (row.ts). Which keys receive, give and are seen does not change any more, so three
 * rows of marks that the prompt left stand for them, and two small products with the pattern are all it takes:
 *
 *   [m_A, m_S, m_V] = P Gᵀ,   P' = P (1 + [p m_S / m_A, −p, 0] G)   in selected heads
 */

import type { Site } from '../../sites/site.ts';
import type { Edit as KernelEdit } from '../lowerings/edits.ts';
import { isOneRow, type RowForm, type Values, zeroPerHead } from '../lowerings/row.ts';
import type { EditContext } from '../plan.ts';

/** @returns undefined where the short form does not apply */
export function rowVar(
  context: EditContext,
  site: Site,
  edits: readonly KernelEdit[],
  { groups, visual, min_visual, rho }: Values,
  { S, T }: { readonly S: string; readonly T: string },
): RowForm | undefined {
  const { emit, once } = context;
  const [edit, ...others] = edits;
  if (edit?.kind !== 'var' || others.length > 0) return undefined;
  if (edit.semantics !== 'paper' || edit.rows !== 'text' || !groups || !visual) return undefined;
  const applies = once(`var:one row of text ${S} ${T} ${visual}`, () => {
    const own = emit.slice(visual, 1, emit.op('Sub', [T, emit.ints(1)], 'last'), T);
    const images = emit.op('ReduceSum', [own, emit.ints(0, 1)], 'image_rows', { keepdims: 0 });
    const text = emit.op('Equal', [images, emit.scalar(0)], 'text');
    return emit.op('And', [isOneRow(context, S, T), text], 'row_of_text');
  });
  const perRow = (x: string) =>
    once(`var:per row ${x}`, () => emit.op('Unsqueeze', [x, emit.ints(2)], 'per_row'));
  const shared = { min_visual: perRow(min_visual!), rho: perRow(rho!), zero: zeroPerHead(context, site) };
  return {
    applies,
    edit: (inner, pattern, values) => redistribute(inner, pattern, { ...values, ...shared }),
  };
}

/** groups float32 [B, 3, T]: 1 at visual keys that are no sinks, at sinks, at visual keys. */
const redistribute: RowForm['edit'] = (emit, pattern, values) => {
  const { groups, p, min_visual, rho, zero } = values as Record<string, string>;
  const keys = emit('Transpose', [groups!], { perm: [0, 2, 1] });
  const masses = emit('MatMul', [pattern, keys]); // [B, H, 3]
  const split = emit.many(3, 'Split', [masses, emit.ints(1, 1, 1)], { axis: 2 });
  const [onReceivers, onSinks, onVisual] = split as [string, string, string];
  const some = emit('Greater', [onReceivers, emit.float(0)]);
  const looking = emit('GreaterOrEqual', [onVisual, min_visual!]);
  const apart = emit('GreaterOrEqual', [onReceivers, emit('Mul', [onVisual, rho!])]);
  const selected = emit('And', [emit('And', [some, looking]), apart]);
  const share = emit('Where', [selected, emit('Unsqueeze', [p!, emit.ints(2)]), emit.float(0)]);
  const gain = emit('Div', [emit('Mul', [share, onSinks]), emit('Max', [onReceivers, emit.float(1e-30)])]);
  const weights = emit('Concat', [gain, emit('Neg', [share]), zero!], { axis: 2 }); // [B, H, 3]
  const change = emit('MatMul', [weights, groups!]); // [B, H, T]
  return { pattern: emit('Mul', [pattern, emit('Add', [change, emit.float(1)])]), states: {} };
};
