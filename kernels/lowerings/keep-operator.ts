/**
 * A fused operator stays, in one call: what edits do to logits is among its inputs (a bias, scaled queries), what they do to
 * head outputs comes after it. Bit for bit the untouched model where they are neutral.
 */
import { type Lowering, NOTHING } from './lowering.ts';

export const keepOperator: Lowering = {
  name: 'keep-operator',
  doc: 'the operator in one call, edited at its inputs and outputs',

  supports({ fused, biasInput }, edits) {
    if (!fused) return 'has no operator to keep: scores and pattern are values of the graph';
    const inside = edits.find(({ kind }) => kind === 'expand' || kind === 'logits');
    if (inside) return 'cannot reach the scores and probabilities inside the operator';
    if (biasInput === undefined && edits.some(({ kind }) => kind === 'bias'))
      return 'has no input for a bias';
    return true;
  },

  lower: () => NOTHING,
};
