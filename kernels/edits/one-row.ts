/** What the forms of one decoded row have in common. */
import type { Site } from '../../sites/site.ts';
import type { EditContext } from '../site/context.ts';

/** bool scalar, once per graph: the call has one row, and keys before it. @param S rows @param T keys, int64 [1] */
export function isOneRow({ emit, once }: EditContext, S: string, T: string): string {
  return once(`one row of ${S} ${T}`, () => {
    const one = emit.op('Equal', [S, emit.ints(1)], 'one_row');
    const later = emit.op('Greater', [T, emit.ints(1)], 'later');
    return emit.reshape(emit.op('And', [one, later], 'decoding'), []);
  });
}

/** float32 [B, H, 1], once per graph. */
export function zeroPerHead({ emit, once, tokens }: EditContext, { numHeads, anchor }: Site): string {
  const batch = tokens ?? anchor.inputs[0]!;
  return once(`zero per head ${numHeads}`, () => {
    const shape = emit.shape([{ of: batch, axis: 0 }, numHeads, 1]);
    return emit.op('Expand', [emit.scalar(0), shape], 'zero');
  });
}
