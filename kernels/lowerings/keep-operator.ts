/**
 * A fused operator stays, in one call: what edits do to logits is among its inputs (a bias, scaled queries), what they do to
 * head outputs comes after it. Bit for bit the untouched model where they are neutral.
 */
import type { Site } from '../../sites/site.ts';
import { type Lowering, NOTHING, type Target } from './lowering.ts';
import { GROUPED_BIAS, isBefore } from './runtime-version.ts';

export const keepOperator: Lowering = {
  name: 'keep-operator',
  doc: 'the operator in one call, edited at its inputs and outputs',

  supports(site, edits, target) {
    const { fused, biasInput } = site;
    if (!fused) return 'has no operator to keep: scores and pattern are values of the graph';
    const inside = edits.find(({ kind }) => kind === 'expand' || kind === 'logits');
    if (inside) return 'cannot reach the scores and probabilities inside the operator';
    if (!edits.some(({ kind }) => kind === 'bias')) return true;
    if (biasInput === undefined) return 'has no input for a bias';
    if (takesNoBias(site, target)) {
      return `has no input for a bias in ONNX Runtime ${target.onnxruntime}, which got it in ${GROUPED_BIAS}`;
    }
    return true;
  },

  lower: () => NOTHING,
};

/** Whether the target's version of a site's operator lacks the input for a bias that newer ones have. */
export function takesNoBias({ operator }: Site, { onnxruntime }: Target): boolean {
  return operator === 'com.microsoft.GroupQueryAttention' && isBefore(onnxruntime, GROUPED_BIAS);
}
