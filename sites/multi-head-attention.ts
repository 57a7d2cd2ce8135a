/**
 * P3, com.microsoft.MultiHeadAttention.
 * Inputs: query [B,S,HD] (or packed [B,S,H,3,D]), key [B,T,HD], [B,H,T,D] or packed with value [B,T,H,2,D], value,
 * bias of q, k and v, key_padding_mask, attention_bias, past_key, past_value, past_sequence_length,
 * cache_indirection. Op reference: ONNX Runtime contrib operators.
 */
import { describeNode, floatAttribute, intAttribute, type Node } from '../onnx/index.ts';
import { causality } from './causality.ts';
import { isNumber } from './dims.ts';
import { fusedSite } from './fused.ts';
import { keyPaddingKind, unclearPadding } from './key-padding.ts';
import { miss, type SiteRule } from './rule.ts';
import type { Scope } from './scope.ts';
import type { MaskUse, Place, Refusal } from './site.ts';

export const multiHeadAttention: SiteRule = {
  name: 'multi-head-attention',
  anchors: ['com.microsoft.MultiHeadAttention'],

  match(node, { scope, position }) {
    const H = intAttribute(node, 'num_heads', 0);
    if (H <= 0) return miss(node, 'num_heads is missing');
    const [query = '', key = '', value = ''] = node.inputs;
    if (query === '') return miss(node, 'it has no query');
    const packed = scope.rankOf(query) === 5;
    const D = headDim(scope, node, H);
    if (D === undefined) return miss(node, 'the head size cannot be told from shapes or scale');
    const E = widthPerHead(scope, value, H) ?? D;
    const masks: MaskUse[] = [];
    const padding = node.inputs[4];
    if (padding) masks.push({ node, value: padding, kind: keyPaddingKind(scope, padding) });
    const joint =
      packed || scope.rankOf(key) === 5 ? 'MultiHeadAttention with q, k and v in one tensor' : undefined;
    if (node.inputs[5]) masks.push({ node, value: node.inputs[5], kind: 'additive' });
    const order = causality(scope, masks, undefined);
    const unidirectional = intAttribute(node, 'unidirectional', 0) === 1;
    return fusedSite(scope, node, position, {
      form: 'P3',
      biasInput: 5,
      q: packed ? undefined : { value: query, layout: 'BS(HD)' },
      k: key === '' ? undefined : keyPlace(scope, key),
      v: value === '' ? undefined : keyPlace(scope, value),
      packed: packed ? query : scope.rankOf(key) === 5 ? key : undefined,
      numHeads: H,
      kvHeads: H,
      headDim: D,
      valueDim: E,
      scale: floatAttribute(node, 'scale', 0) || 1 / Math.sqrt(D),
      softcap: undefined,
      window: order.window,
      headSink: undefined,
      rotary: undefined,
      masks,
      causal: unidirectional ? true : order.causal,
      causalBy:
        unidirectional || masks.length === 0
          ? `attribute unidirectional=${Number(unidirectional)}`
          : order.causalBy,
      past: pair(node.inputs[6], node.inputs[7]),
      present: pair(node.outputs[1], node.outputs[2]),
      zLayout: 'BS(HD)',
      attention: packed ? 'self' : undefined,
      biasInside: node.inputs[3] || undefined,
      warnings: warnings(node),
      lacks: {
        ...unclearPadding(scope, padding, query),
        ...(joint === undefined
          ? {}
          : { scores: joint, pattern: joint, projections: joint, queries: joint, probabilities: joint }),
      },
    });
  },
};

function keyPlace(scope: Scope, value: string): Place | undefined {
  const rank = scope.rankOf(value);
  if (rank === 5) return undefined;
  return { value, layout: rank === 4 ? 'BHSD' : 'BS(HD)' };
}

function pair(k: string | undefined, v: string | undefined) {
  return k && v ? ({ k, v, layout: 'BHPD' } as const) : undefined;
}

/** Channels per head of a tensor [.., H·D], [B,H,T,D], [B,S,H,3,D]. */
function widthPerHead(scope: Scope, value: string, H: number): number | undefined {
  const shape = scope.shape(value);
  const last = shape?.at(-1);
  if (!shape || !isNumber(last)) return undefined;
  return shape.length === 3 ? (last % H === 0 ? last / H : undefined) : last;
}

function headDim(scope: Scope, node: Node, H: number): number | undefined {
  for (const value of [node.inputs[0], node.inputs[1], node.inputs[6], node.inputs[2]]) {
    const width = value ? widthPerHead(scope, value, H) : undefined;
    if (width !== undefined) return width;
  }
  const bias = node.inputs[3] ? scope.shape(node.inputs[3])?.[0] : undefined;
  if (isNumber(bias) && bias % (3 * H) === 0) return bias / (3 * H);
  // Without declared shapes the scale tells, when it is the usual 1/√D.
  const scale = floatAttribute(node, 'scale', 0);
  const root = scale > 0 ? Math.round(1 / (scale * scale)) : 0;
  return root > 0 && Math.abs(1 / Math.sqrt(root) - scale) < 1e-6 ? root : undefined;
}

function warnings(node: Node): readonly Refusal[] {
  if (!node.inputs[8] && !node.inputs[9]) return [];
  return [
    {
      code: 'CACHE_INDIRECTION',
      level: 'warn',
      node: describeNode(node),
      reason:
        'the cache is shared with beam search (past_sequence_length, cache_indirection): key positions are not rows of it',
    },
  ];
}
