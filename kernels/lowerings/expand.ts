/**
 * A fused operator is replaced by MatMul, Softmax, MatMul in blocks of rows, with every edit of logits and probabilities in
 * between (expanded.ts). Where the edits say at run time that they change nothing, the operator itself runs.
 */
import { isAttuneError } from '../../errors.ts';
import { changeNode } from '../../onnx/index.ts';
import type { Site } from '../../sites/site.ts';
import type { ExpandEdit } from '../plan.ts';
import { operandsOf } from '../site/operands.ts';
import { expandFused, expansionAt } from './at-site.ts';
import { takesNoBias } from './keep-operator.ts';
import { type Lowering, type LoweringContext, tooOld } from './lowering.ts';

export const expand: Lowering = {
  name: 'expand',
  doc: 'MatMul, Softmax, MatMul in blocks of rows in the operator’s place',

  supports(site, edits, target) {
    if (!site.fused) return 'is for fused operators: here the products are nodes of the graph';
    const inside = edits.some(({ kind }) => kind === 'expand');
    if (!inside && !edits.some(({ kind }) => kind === 'bias')) {
      return 'has nothing to do: no edit is between the two products of the attention';
    }
    if (!inside && edits.some(({ kind }) => kind === 'segments')) {
      return 'would be taken by no call: where there are no documents the operator stays';
    }
    return tooOld(target) ?? whyNotOpened(site, target.opset) ?? true;
  },

  lower(site, { edits, bias, tapped }, context) {
    const own = edits.filter((edit): edit is ExpandEdit => edit.kind === 'expand');
    const edited = context.edited(site);
    const { anchor } = edited;
    // What an operator cannot be told makes it step aside, and it is not told.
    const deaf = bias !== undefined && takesNoBias(site, context.target);
    const written = own.length === 0 || deaf ? [...own, whereBiased(site, bias!, context)] : own;
    const expansion = expansionAt(context, site, written, anchor);
    const idle = deaf ? changeNode(anchor, { inputs: anchor.inputs.slice(0, site.biasInput) }) : undefined;
    return { ...expandFused(edited, { ...expansion, idle }, tapped), replaces: true };
  },
};

/** Written out for its bias alone, where that does anything. */
function whereBiased(site: Site, bias: string, { emit, once }: LoweringContext): ExpandEdit {
  const active = () =>
    once(`biased ${bias}`, () => {
      const largest = emit.op('ReduceMax', [emit.op('Abs', [bias], 'size')], 'largest', { keepdims: 0 });
      return emit.op('Greater', [largest, emit.scalar(0)], 'biased');
    });
  return { kind: 'expand', site, edits: [], values: () => ({}), active };
}

/** What keeps an operator from being taken apart. */
function whyNotOpened(site: Site, opset: number): string | undefined {
  try {
    operandsOf(site, { name: '', opset, keys: undefined });
    return undefined;
  } catch (error) {
    if (isAttuneError(error, 'LOWERING_LACKS_OPERATOR')) return `cannot take apart ${error.found}`;
    throw error;
  }
}
