/** The additive input of a fused attention operator: what is there already, and more. */

import type { Emit } from '../../onnx/emitter.ts';
import { changeNode, DataType, type Graph, type Node } from '../../onnx/index.ts';
import type { Site } from '../../sites/site.ts';
import { attendBiased, tallShape } from '../lowerings/biased.ts';
import { BLOCK_ROWS, planRowBlocks } from '../lowerings/row-blocks.ts';
import type { EditContext } from '../plan.ts';

/**
 * @param node the site's operator as it is now
 * @param bias of the operator's type, broadcastable to [B,H,S,T]
 * @param rows S, int64 [1]
 */
export function withBias(
  { emit, once }: Pick<EditContext, 'emit' | 'once'>,
  site: Site,
  node: Node,
  bias: string,
  rows: string,
): Node {
  const position = site.biasInput!;
  // The contrib operators broadcast over batch and heads only; rows have to be there.
  const expanded = once(`rows ${rows} ${bias}`, () =>
    emit.op(
      'Expand',
      [bias, emit.op('Concat', [emit.ints(1, 1), rows, emit.ints(1)], 'rows', { axis: 0 })],
      'bias_rows',
    ),
  );
  const existing = node.inputs[position];
  if (!existing) return withInput(node, position, expanded);
  const boolean = site.masks.some((mask) => mask.value === existing && mask.kind === 'select');
  const fill = (value: number) => emit.scalar(value, site.elemType);
  const additive = boolean
    ? emit.op('Where', [existing, fill(0), fill(Number.NEGATIVE_INFINITY)], 'mask')
    : existing;
  return withInput(node, position, emit.op('Add', [additive, expanded], 'attention_bias'));
}

/** A bias that was put in front of a GroupQueryAttention, before it was given rows. */
export interface FrontBias {
  readonly site: Site;
  /** The operator's own bias input, '' where it had none. */
  readonly own: string;
  /** float32 [B|1, H|1, S|1, T]. */
  readonly bias: string;
  /** S, int64 [1]. */
  readonly rows: string;
  /** bool of one element: whether it does anything, worked out when asked for. */
  readonly loud: () => string;
}

/** bool []: some value is not 0. */
export const anyLoud = (emit: Emit, values: string): string =>
  emit.op('Greater', [emit.op('ReduceL1', [values], 'size', { keepdims: 0 }), emit.float(0)], 'loud');

/**
 * The operator with its bias, long prompts in blocks of rows (kernels/lowerings/row-blocks.ts).
 * @param node as it is after all edits @param once memo of the graph
 */
export function attendInFront(
  emit: Emit,
  node: Node,
  { site, own, bias, rows, loud }: FrontBias,
  once: EditContext['once'],
  blockRows = BLOCK_ROWS,
): void {
  const elemType = site.elemType ?? DataType.FLOAT;
  const position = site.biasInput!;
  const tall = once(`tall ${rows}`, () => tallShape(emit, rows));
  const plan = planRowBlocks(emit, once, { node, S: rows, size: blockRows });
  const told = loud();
  const taken = once(`${plan.long} and ${told}`, () => emit('And', [plan.long, told]));
  const blocks = { plan, taken, D: site.headDim };
  attendBiased(emit, { node: withInput(node, position, own), position, elemType, tall, bias, blocks });
}

/** int64 [1]: S of a fused site. */
export function sequenceLength(emit: Emit, graph: Graph, site: Site): string {
  // Every layer of a tower sees the same rows, so one measurement (of token ids, if there are any) serves all.
  const ids = graph.inputs.find(({ name }) => name === 'input_ids' || name === 'inputs_embeds');
  const decoderSelf = site.attention === 'self' && site.operator === 'com.microsoft.GroupQueryAttention';
  if (decoderSelf && ids) return emit.dim(ids.name, 1);
  const fourD =
    site.q.operand?.layout === 'BHSD' || (site.operator === 'Attention' && site.q.heads?.layout === 'BHSD');
  return emit.dim(site.anchor.inputs[0]!, fourD ? 2 : 1);
}

/**
 * S and T of a decoder's self-attention from what the graph is fed, so that all layers share them: int64 [1] each.
 * @returns undefined where the graph's inputs do not tell
 */
export function decoderLengths(
  emit: Emit,
  graph: Graph,
  site: Site,
): { readonly S: string; readonly T: string } | undefined {
  const told = lengthsTold(graph, site);
  return told && { S: emit.dim(told.ids, 1), T: emit.dim(told.mask, 1) };
}

/** Whether decoderLengths finds them. */
export function tellsLengths(graph: Graph, site: Site): boolean {
  return lengthsTold(graph, site) !== undefined;
}

function lengthsTold(
  { inputs }: Graph,
  { tower, attention }: Site,
): { readonly ids: string; readonly mask: string } | undefined {
  const ids = inputs.find(({ name }) => name === 'input_ids' || name === 'inputs_embeds');
  const mask = inputs.find(({ name }) => name === ATTENTION_MASK);
  // A file of one tower has no name for it.
  const decodes = tower === 'decoder' || tower === '';
  return ids && mask && decodes && attention === 'self' ? { ids: ids.name, mask: mask.name } : undefined;
}

/** Name of the [B, T] mask of real tokens in Hub exports. */
export const ATTENTION_MASK = 'attention_mask';

export function withInput(node: Node, position: number, value: string): Node {
  const inputs = [...node.inputs];
  while (inputs.length <= position) inputs.push('');
  inputs[position] = value;
  return changeNode(node, { inputs });
}
