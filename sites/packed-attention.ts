/**
 * P4, com.microsoft.Attention: the projections of q, k and v are inside. Residual stream, z and output can be hooked;
 * q, k, v, scores and pattern do not exist as values.
 * Inputs: input [B,S,X], weights [X, HD+HD+HE], bias, mask_index, past [2,B,H,P,D], attention_bias,
 * past_sequence_length. Op reference: ONNX Runtime contrib operators.
 */
import { floatAttribute, intAttribute, intsAttribute } from '../onnx/index.ts';
import { causality } from './causality.ts';
import { isNumber } from './dims.ts';
import { fusedSite } from './fused.ts';
import { keyPaddingKind, unclearPadding } from './key-padding.ts';
import { miss, type SiteRule } from './rule.ts';
import type { MaskUse } from './site.ts';

export const packedAttention: SiteRule = {
  name: 'packed-attention',
  anchors: ['com.microsoft.Attention'],

  match(node, { scope, position }) {
    const H = intAttribute(node, 'num_heads', 0);
    if (H <= 0) return miss(node, 'num_heads is missing');
    const [input = '', weights = '', bias = ''] = node.inputs;
    const width = scope.shape(weights)?.at(-1) ?? scope.shape(bias)?.at(-1);
    const third = isNumber(width) && width % 3 === 0 ? width / 3 : undefined;
    const [qWidth, , vWidth] = intsAttribute(node, 'qkv_hidden_sizes') ?? [third, third, third];
    if (qWidth === undefined || qWidth % H !== 0) {
      return miss(node, `the width of q (${qWidth ?? 'unknown'}) is no multiple of its ${H} heads`);
    }
    const D = qWidth / H;
    const masks: MaskUse[] = [];
    const padding = node.inputs[3];
    if (padding) masks.push({ node, value: padding, kind: keyPaddingKind(scope, padding) });
    if (node.inputs[5]) masks.push({ node, value: node.inputs[5], kind: 'additive' });
    const order = causality(scope, masks, undefined);
    const unidirectional = intAttribute(node, 'unidirectional', 0) === 1;
    const [past, present] = [node.inputs[4], node.outputs[1]];
    const rotary = intAttribute(node, 'do_rotary', 0) === 1;
    return {
      ...fusedSite(scope, node, position, {
        form: 'P4',
        projectsInside: true,
        biasInput: 5,
        q: undefined,
        k: undefined,
        v: undefined,
        packed: undefined,
        numHeads: H,
        kvHeads: H,
        headDim: D,
        valueDim: vWidth === undefined ? D : vWidth / H,
        scale: floatAttribute(node, 'scale', 0) || 1 / Math.sqrt(D),
        softcap: undefined,
        window: order.window,
        headSink: undefined,
        rotary: rotary
          ? { by: 'operator', interleaved: false, dim: intAttribute(node, 'rotary_embedding_dim', 0) || D }
          : undefined,
        masks,
        causal: unidirectional ? true : order.causal,
        causalBy:
          unidirectional || masks.length === 0
            ? `attribute unidirectional=${Number(unidirectional)}`
            : order.causalBy,
        past: past ? { k: past, v: past, layout: 'packed' } : undefined,
        present: present ? { k: present, v: present, layout: 'packed' } : undefined,
        zLayout: 'BS(HD)',
        attention: 'self',
        biasInside: bias || undefined,
        lacks: unclearPadding(scope, padding, input),
      }),
      sources: { q: input, k: input },
    };
  },
};
