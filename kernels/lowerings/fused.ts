/**
 * Lowerings that keep the fused operator: what they add stands before or after it, and neutral parameters leave its
 * output bit for bit (adding a bias of zeros, multiplying by one).
 *
 * Operator references: ONNX Runtime contrib operators GroupQueryAttention (attention_bias, input 10) and
 * MultiHeadAttention (attention_bias, input 5); ai.onnx Attention-23 (attn_mask, input 3).
 */
import { AttuneError } from '../../errors.ts';
import { type Emit, emitter } from '../../onnx/emitter.ts';
import { changeNode, DataType, type Node } from '../../onnx/index.ts';
import type { Edit } from '../edits/edit.ts';
import { attendBiased, toType } from './biased.ts';
import { checkEdits, inOrder, knobsOf } from './edits.ts';
import { paddingBias } from './functions/pattern.ts';
import { type HeadValue, type Lowered, lowered } from './lowered.ts';
import { BLOCK_ROWS, planRowBlocks } from './row-blocks.ts';

/** Which input takes an additive bias [B|1, H|1, S, T]. */
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

/** Does the edit leave the operator in place? */
const keepsOperator = ({ row }: Edit): boolean => row.bias !== undefined || row.outputs !== undefined;

export interface FusedOptions {
  /**
   * Rows a GroupQueryAttention with a bias takes at a time from prompts of twice as many on (row-blocks.ts); 0: never.
   * Default BLOCK_ROWS. Needs an execution provider whose operator takes several rows and a cache, as cpu and wasm do.
   */
  readonly blockRows?: number | undefined;
}

/**
 * @returns nodes to put in the operator's place, which is among them
 * @throws AttuneError LOWERING_LACKS_EDIT for an edit that needs the expanded form, LOWERING_LACKS_OPERATOR for an
 *   operator without bias input, EDIT_TWICE, OPSET_TOO_OLD
 */
export function fusedAttention(
  site: FusedSite,
  edits: readonly Edit[],
  { blockRows = BLOCK_ROWS }: FusedOptions = {},
): Lowered {
  checkEdits(site, edits);
  const other = edits.find((edit) => !keepsOperator(edit));
  if (other) {
    throw new AttuneError('LOWERING_LACKS_EDIT', {
      at: site.name,
      found: `edit '${other.row.kind}'`,
      expected: 'a bias of the logits or a factor on outputs while the fused operator stays',
      hint: 'Use the expanded lowering.',
    });
  }
  const knobs = edits.flatMap((edit) => knobsOf(edit, site.name, site.H));
  const emit = emitter(site.opset, `${site.name}.`);
  const after = inOrder(edits).filter(({ row }) => row.outputs);
  const raw = after.length > 0 ? `${site.name}.z` : site.z.value;
  const outputs = site.node.outputs.map((value) => (value === site.z.value ? raw : value));

  const bias = biasOf(emit, site, edits);
  const node = changeNode(site.node, { outputs });
  if (bias) {
    const S = length(emit, site.S);
    const inBlocks = blockRows > 0 && node.opType === 'GroupQueryAttention';
    const place = { node, position: biasInput(site), elemType: site.elemType, S, bias };
    const blocks = inBlocks ? planRowBlocks(emit, { S, size: blockRows }) : undefined;
    attendBiased(emit, { ...place, blocks });
  } else emit.copy(node, node.inputs, outputs);
  if (after.length > 0) {
    const factor = (name: string) => toType(emit, `${site.name}.${name}`, site.elemType);
    const { layout, value } = site.z;
    const z = after.reduce((out, { row, options }) => row.outputs!(options, emit, out, factor, layout), raw);
    emit.as(value, 'Identity', [z]);
  }
  return lowered(emit, { knobs });
}

/** The bias all edits and the padding ask for together, of one row: float32 [B|1, H|1, 1, T]. */
function biasOf(emit: Emit, site: FusedSite, edits: readonly Edit[]): string | undefined {
  const biased = edits.filter(({ row }) => row.bias);
  const value = (name: string) => `${site.name}.${name}`;
  const T = biased.length > 0 ? length(emit, site.T) : '';
  const overKeys = (name: string, ...lead: number[]) =>
    emit('Expand', [value(name), emit('Concat', [emit.ints(...lead), T], { axis: 0 })]);
  const parts = biased.map(({ row, options }) => row.bias!(options, { emit, T, value, overKeys }));
  if (site.keys) parts.push(emit.call(paddingBias, site.keys)[0]!);
  return parts.length > 0 ? parts.reduce((total, part) => emit('Add', [total, part])) : undefined;
}

function biasInput({ name, node }: FusedSite): number {
  const position = node.opType === 'Attention' && node.domain !== '' ? undefined : BIAS_INPUT[node.opType];
  if (position !== undefined) return position;
  throw new AttuneError('LOWERING_LACKS_OPERATOR', {
    at: name,
    found: `${node.domain || 'ai.onnx'}.${node.opType}`,
    expected: 'GroupQueryAttention, MultiHeadAttention or ai.onnx Attention',
    hint: 'Use the expanded lowering.',
  });
}

function length(emit: Emit, parts: Length): string {
  const sizes = parts.map((part) => {
    if ('axis' in part) return emit.dim(part.value, part.axis);
    return emit('Reshape', [emit('Cast', [part.scalar], { to: DataType.INT64 }), emit.ints(1)]);
  });
  return sizes.reduce((sum, size) => emit('Add', [sum, size]));
}
