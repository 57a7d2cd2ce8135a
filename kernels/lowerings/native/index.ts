/**
 * One operator of the native runtime in the place of a GroupQueryAttention, with bias and calibration inside and its cache grown
 * in place. Where nothing is to be done to the attention the operator of the graph runs, bit for bit. The same graph runs on every
 * other runtime, by the operator's body.
 */
import { AttuneError } from '../../../errors.ts';
import { DataType } from '../../../onnx/index.ts';
import type { Site } from '../../../sites/site.ts';
import type { NativeForm } from '../../edits/edit.ts';
import type { Edit, ExpandEdit } from '../../plan.ts';
import { ATTENTION_MASK, tellsLengths, withInput } from '../../site/bias.ts';
import { type Expansion, expandFused, expansionAt } from '../at-site.ts';
import { type Lowering, type LoweringContext, type SiteWork, type Target, tooOld } from '../lowering.ts';
import { callOperator, OPERATOR, operandsOfNode } from './operator.ts';

export { OPERATOR } from './operator.ts';

export const native: Lowering = {
  name: 'native',
  doc: 'an operator of the native runtime in the operator’s place',

  supports(site, edits, target) {
    return whyNoKernel(target) ?? whyNotHere(site, target) ?? whyNotEdited(edits) ?? true;
  },

  lower(site, work, context) {
    const edited = context.edited(site);
    const own = work.edits.filter((edit): edit is ExpandEdit => edit.kind === 'expand');
    const { front } = work;
    const gate: ExpandEdit[] = front
      ? [{ kind: 'expand', site, edits: [], values: () => ({}), active: () => front.loud() }]
      : [];
    // The graph's own operator runs where no bias does anything: it is not given one.
    const anchor = front ? withInput(edited.anchor, site.biasInput!, front.own) : edited.anchor;
    const expansion = expansionAt(context, site, [...own, ...gate], anchor);
    const form = nativeForm(site, expansion);
    const plain = { ...edited, anchor };
    const operands = {
      ...operandsOfNode(anchor),
      ...operandsBeside(expansion, context, work, anchor.inputs),
    };
    const values = Object.entries(form?.inputs ?? {}).map(([input, name]) => [input, expansion.values[name]]);
    const whole = { ...expansion, idle: anchor, row: undefined };
    const lowered = expandFused(edited, whole, work.tapped, (states) => {
      const past = form?.state && { state: states[0]!.input };
      const all = { ...operands, ...Object.fromEntries(values), ...past };
      return callOperator({ site: plain, expansion, operands: all, form, states });
    });
    return { ...lowered, replaces: true };
  },
};

/** What the operator reads beside what GroupQueryAttention does. */
function operandsBeside(
  { positions, attentionMask }: Expansion,
  { emit, once }: LoweringContext,
  { front }: SiteWork,
  inputs: readonly string[],
) {
  const given = inputs[10] || undefined;
  const added = front?.bias;
  const both = () => once(`bias ${given} and ${added}`, () => emit.op('Add', [given!, added!], 'bias'));
  const bias = given && added ? both() : (given ?? added);
  return { ...(positions && { positions }), ...(bias && { bias }), keys: attentionMask ?? '' };
}

function whyNoKernel({ operators = [], ep }: Target): string | undefined {
  if (ep !== 'cpu') return 'is for the cpu';
  return operators.includes(OPERATOR) ? undefined : 'needs the native runtime';
}

function whyNotHere(site: Site, target: Target): string | undefined {
  const { anchor, scope, elemType = DataType.FLOAT } = site;
  if (site.operator !== 'com.microsoft.GroupQueryAttention') return 'is for GroupQueryAttention';
  if (scope.length > 0) return 'is for the main graph';
  if (elemType !== DataType.FLOAT) return 'is for float32';
  const [pastK, pastV, , total] = anchor.inputs.slice(3, 7);
  if (!pastK || !pastV || !total) return 'needs a cache among the inputs of the operator';
  if (!anchor.outputs[1] || !anchor.outputs[2] || anchor.outputs[3]) return 'needs the usual outputs';
  if (site.causal !== true) return 'is for causal attention';
  if (!tellsLengths(target.graph, site))
    return 'cannot tell the lengths of a call from the inputs of the graph';
  const mask = target.graph.inputs.find(({ name }) => name === ATTENTION_MASK);
  if (mask?.elemType !== DataType.INT64) return 'needs an attention mask of int64';
  return site.lacks?.probabilities ?? tooOld(target);
}

function whyNotEdited(edits: readonly Edit[]): string | undefined {
  const other = edits.find(({ kind }) => kind === 'logits' || kind === 'segments');
  if (other) return `has no form for ${other.kind}`;
  const inside = edits.flatMap((edit) => (edit.kind === 'expand' ? edit.edits : []));
  const strange = inside.find(({ row, options }) => !row.native?.(options, new Set()));
  if (strange) return `has no form for '${strange.row.kind}'`;
  if (inside.length > 1) return 'has a form for one edit alone';
  if (inside.length === 0 && !edits.some(({ kind }) => kind === 'bias')) return 'has nothing to do';
  return undefined;
}

/** @throws AttuneError LOWERING_LACKS_EDIT for an edit that is given what the operator would find */
function nativeForm(site: Site, { edits, values }: Expansion): NativeForm | undefined {
  const [edit] = edits;
  if (!edit) return undefined;
  const form = edit.row.native?.(edit.options, new Set(Object.keys(values)));
  if (form && Object.values(form.inputs).every((name) => name in values || name === `past_${form.state}`)) {
    return form;
  }
  throw new AttuneError('LOWERING_LACKS_EDIT', {
    at: site.anchor.name || site.anchor.opType,
    found: `edit '${edit.row.kind}' with values of its own`,
    expected: 'one whose parameters the native operator has',
  });
}
