/**
 * Lowerings that keep the fused operator: what they add stands before or after it, and neutral parameters leave its
 * output bit for bit (adding a bias of zeros, multiplying by one).
 *
 * Operator references: ONNX Runtime contrib operators GroupQueryAttention (attention_bias, input 10) and
 * MultiHeadAttention (attention_bias, input 5); ai.onnx Attention-23 (attn_mask, input 3).
 */
import { AttuneError } from '../../errors.ts';
import { changeNode, DataType, type Node } from '../../hooks/onnx/index.ts';
import { checkEdits, type Edit, knobsOf } from './edits.ts';
import { type Emit, emitter } from './emit.ts';
import type { HeadValue } from './expanded.ts';
import { headScale, headScaleFlat } from './functions/heads.ts';
import { firstKeys, keyBias, rowBias } from './functions/keys.ts';
import { paddingBias } from './functions/pattern.ts';
import { type Lowered, lowered } from './lowered.ts';

/** Which input takes an additive bias [B|1, H|1, S, T], and how wide a node must be to have it. */
const BIAS_INPUT: Readonly<Record<string, number>> = {
  GroupQueryAttention: 10,
  MultiHeadAttention: 5,
  Attention: 3,
};

/** A length as the sum of axes of values (past and new keys, say) and of int64 or int32 scalars. */
export type Length = readonly (
  | { readonly value: string; readonly axis: number }
  | { readonly scalar: string }
)[];

export interface FusedSite {
  /** Unique in the model; prefix of everything emitted. */
  readonly name: string;
  readonly opset: number;
  /** DataType of the operator's activations, which its bias must have. */
  readonly elemType: number;
  readonly H: number;
  /** The operator; for ai.onnx Attention a bias that is there must be float. */
  readonly node: Node;
  /** Query rows of a call, and keys with the cache. */
  readonly S: Length;
  readonly T: Length;
  /** The operator's output. */
  readonly z: HeadValue;
  /** Value [B, T], 0 at padding: hides those keys too, which the exports' own masks do not under left padding. */
  readonly keys?: string | undefined;
}

/** Edits that leave the operator in place. */
export type FusedEdit = Extract<Edit, { kind: 'logWeights' | 'bias' | 'headScale' }>;

export const FUSED_EDITS: readonly Edit['kind'][] = ['logWeights', 'bias', 'headScale'];

/** Nodes to put in the operator's place; it is among them. */
export interface FusedLowered extends Lowered {
  /** The operator with its new inputs and output, one of `nodes`. */
  readonly node: Node;
}

/**
 * @throws AttuneError LOWERING_LACKS_EDIT for an edit that needs the expanded form, LOWERING_LACKS_OPERATOR for an
 *   operator without bias input, EDIT_TWICE, OPSET_TOO_OLD
 */
export function fusedAttention(site: FusedSite, edits: readonly Edit[]): FusedLowered {
  checkEdits(site, edits);
  for (const { kind } of edits) {
    if (!FUSED_EDITS.includes(kind)) {
      throw new AttuneError('LOWERING_LACKS_EDIT', {
        at: site.name,
        found: `edit '${kind}'`,
        expected: `one of ${FUSED_EDITS.join(', ')} while the fused operator stays`,
        hint: 'Use the expanded lowering.',
      });
    }
  }
  const knobs = edits.flatMap((edit) => knobsOf(edit, site.name, site.H));
  const before = emitter(site.opset, `${site.name}.`);
  const bias = biasOf(before, site, edits);
  const inputs = bias ? withInput(site, before, bias) : site.node.inputs;
  const scaled = edits.some(({ kind }) => kind === 'headScale');

  const raw = scaled ? `${site.name}.z` : site.z.value;
  const outputs = site.node.outputs.map((value) => (value === site.z.value ? raw : value));
  const node = changeNode(site.node, { inputs, outputs });
  const after = emitter(site.opset, `${site.name}.out.`);
  if (scaled) {
    const factor = ofType(after, `${site.name}.head_scale`, site.elemType);
    const form = site.z.layout === 'BNSD' ? headScale : headScaleFlat;
    after.as(site.z.value, 'Identity', after.call(form, raw, factor));
  }
  const functions = new Map([...before.functions, ...after.functions]);
  return {
    ...lowered(before, { knobs }),
    nodes: [...before.nodes, node, ...after.nodes],
    functions: [...functions.values()],
    node,
  };
}

/** The bias all edits and the padding ask for together: [B|1, H|1, S, T] of the operator's type. */
function biasOf(emit: Emit, site: FusedSite, edits: readonly Edit[]): string | undefined {
  const parts: string[] = [];
  const [S, T] = [() => length(emit, site.S), () => length(emit, site.T)];
  const knob = (name: string) => `${site.name}.${name}`;
  for (const edit of edits) {
    if (edit.kind === 'logWeights') {
      const width = T();
      const full = emit('Concat', [emit.ints(1), width], { axis: 0 });
      const keys =
        edit.keys === 'first'
          ? emit.call(firstKeys, knob('first'), width)[0]!
          : emit('Expand', [knob('keys'), full]);
      parts.push(emit.call(keyBias, knob('log_weight'), keys, S())[0]!);
    }
    if (edit.kind === 'bias') parts.push(emit.call(rowBias, knob('key_bias'), S(), T())[0]!);
  }
  if (site.keys) {
    const hidden = emit.call(paddingBias, site.keys)[0]!;
    const shape = emit('Concat', [emit.ints(1, 1), S(), T()], { axis: 0 });
    parts.push(emit('Expand', [hidden, shape]));
  }
  if (parts.length === 0) return undefined;
  return ofType(
    emit,
    parts.reduce((sum, part) => emit('Add', [sum, part])),
    site.elemType,
  );
}

function withInput(site: FusedSite, emit: Emit, bias: string): string[] {
  const { node } = site;
  const index = BIAS_INPUT[node.opType];
  if (index === undefined || (node.opType === 'Attention' && node.domain !== '')) {
    throw new AttuneError('LOWERING_LACKS_OPERATOR', {
      at: site.name,
      found: `${node.domain || 'ai.onnx'}.${node.opType}`,
      expected: 'GroupQueryAttention, MultiHeadAttention or ai.onnx Attention',
      hint: 'Use the expanded lowering.',
    });
  }
  const inputs = Array.from(
    { length: Math.max(node.inputs.length, index + 1) },
    (_, i) => node.inputs[i] ?? '',
  );
  inputs[index] = inputs[index] ? emit('Add', [inputs[index], bias]) : bias;
  return inputs;
}

function length(emit: Emit, parts: Length): string {
  const sizes = parts.map((part) => {
    if ('axis' in part) return emit.dim(part.value, part.axis);
    return emit('Reshape', [emit('Cast', [part.scalar], { to: DataType.INT64 }), emit.ints(1)]);
  });
  return sizes.reduce((sum, size) => emit('Add', [sum, size]));
}

/** Hidden logits stay finite in float16 too, or rows of padding would turn to NaN. */
const LOWEST_HALF = -6e4;

function ofType(emit: Emit, x: string, elemType: number): string {
  if (elemType === DataType.FLOAT) return x;
  return emit('Cast', [emit('Max', [x, emit.float(LOWEST_HALF)])], { to: elemType });
}
