/**
 * GroupQueryAttention stays and takes long prompts in blocks of rows (row-blocks.ts), whose bias is then small; short calls
 * and neutral biases take it in one call.
 */
import { attendInFront } from '../site/bias.ts';
import { keepOperator } from './keep-operator.ts';
import { type Lowering, NOTHING, tooOld } from './lowering.ts';

/** Providers whose GroupQueryAttention takes several rows and a cache, and was found to give the same. */
const BLOCKWISE: readonly string[] = ['cpu', 'wasm'];

export const keepInBlocks: Lowering = {
  name: 'keep-in-blocks',
  doc: 'the operator, long prompts by blocks of rows',

  supports(site, edits, target) {
    const kept = keepOperator.supports(site, edits, target);
    if (kept !== true) return kept;
    if (site.operator !== 'com.microsoft.GroupQueryAttention') return 'is for GroupQueryAttention';
    if (!site.anchor.inputs[3] || !site.anchor.inputs[4])
      return 'needs a cache among the inputs of the operator';
    if (!edits.some(({ kind }) => kind === 'bias')) return 'has nothing to gain without a bias';
    if (!BLOCKWISE.includes(target.ep)) {
      return `needs an operator that takes several rows and a cache, which ${target.ep} was not found to have`;
    }
    return tooOld(target) ?? true;
  },

  lower(site, { front }, context) {
    const { emit, once, blockRows } = context;
    attendInFront(emit, context.edited(site).anchor, front!, once, blockRows);
    return { ...NOTHING, replaces: true };
  },
};
