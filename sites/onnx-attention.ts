/**
 * P5, ai.onnx Attention (opset 23 and later). Q, K, V are [B,H,S,D], or [B,S,H·D] with the head counts as attributes;
 * then attn_mask, past_key, past_value, nonpad_kv_seqlen. Operator reference: onnx.ai/onnx/operators/onnx__Attention.html.
 */
import { floatAttribute, intAttribute } from '../onnx/index.ts';
import { causality } from './causality.ts';
import { isNumber, type Shape, sum } from './dims.ts';
import { fusedSite } from './fused.ts';
import { miss, type SiteRule } from './rule.ts';
import type { Scope } from './scope.ts';
import type { MaskUse } from './site.ts';

/** qk_matmul_output_mode: what output 3 holds. */
const RAW_SCORES = 0;
const PROBABILITIES = 3;

export const onnxAttention: SiteRule = {
  name: 'onnx-attention',
  anchors: ['Attention'],

  match(node, { scope, position }) {
    const [query = '', key = '', value = ''] = node.inputs;
    const merged = scope.rankOf(query) === 3;
    const H = headCount(scope, query, merged, intAttribute(node, 'q_num_heads', 0));
    const K = headCount(scope, key, merged, intAttribute(node, 'kv_num_heads', 0)) ?? H;
    if (H === undefined || K === undefined)
      return miss(node, 'the number of heads is neither an attribute nor in the shape');
    if (H % K !== 0) return miss(node, `q_num_heads ${H} is not a multiple of kv_num_heads ${K}`);
    const D = channels(scope, query, merged ? H : 1) ?? channels(scope, key, merged ? K : 1);
    if (D === undefined) return miss(node, 'the head size cannot be told from the shapes');
    const masks: MaskUse[] = [];
    if (node.inputs[3])
      masks.push({
        node,
        value: node.inputs[3],
        kind: scope.elemType(node.inputs[3]) === 9 ? 'select' : 'additive',
      });
    if (node.inputs[6]) masks.push({ node, value: node.inputs[6], kind: 'lengths' });
    const order = causality(scope, masks, scoresShape(scope, query, key, node.inputs[4]));
    const isCausal = intAttribute(node, 'is_causal', 0) === 1;
    const softcap = floatAttribute(node, 'softcap', 0);
    const layout = merged ? 'BS(HD)' : 'BHSD';
    const site = fusedSite(scope, node, position, {
      form: 'P5',
      biasInput: 3,
      q: { value: query, layout },
      k: { value: key, layout },
      v: { value, layout },
      packed: undefined,
      numHeads: H,
      kvHeads: K,
      headDim: D,
      valueDim: channels(scope, value, merged ? K : 1) ?? D,
      scale: floatAttribute(node, 'scale', 0) || 1 / Math.sqrt(D),
      softcap: softcap > 0 ? softcap : undefined,
      window: order.window,
      headSink: undefined,
      rotary: undefined,
      masks,
      causal: isCausal ? true : order.causal,
      causalBy: isCausal || masks.length === 0 ? `attribute is_causal=${Number(isCausal)}` : order.causalBy,
      past:
        node.inputs[4] && node.inputs[5]
          ? { k: node.inputs[4], v: node.inputs[5], layout: 'BHPD' }
          : undefined,
      present:
        node.outputs[1] && node.outputs[2]
          ? { k: node.outputs[1], v: node.outputs[2], layout: 'BHPD' }
          : undefined,
      zLayout: layout,
      attention: undefined,
    });
    const kept = node.outputs[3];
    const mode = intAttribute(node, 'qk_matmul_output_mode', RAW_SCORES);
    if (!kept) return site;
    if (mode === PROBABILITIES) {
      return {
        ...site,
        pattern: { value: kept, layout: 'BHST' },
        absent: site.absent.filter((point) => point !== 'pattern'),
      };
    }
    return mode === RAW_SCORES ? { ...site, scoresRaw: { value: kept, layout: 'BHST' } } : site;
  },
};

function headCount(scope: Scope, value: string, merged: boolean, attribute: number): number | undefined {
  if (attribute > 0) return attribute;
  const heads = merged ? undefined : scope.shape(value)?.[1];
  return isNumber(heads) ? heads : undefined;
}

/** [B, H, S, T] of the scores that stay inside, for telling a mask per query from padding flags. */
function scoresShape(scope: Scope, query: string, key: string, past: string | undefined): Shape | undefined {
  const [q, k] = [scope.shape(query), scope.shape(key)];
  // Positions are the axis before the last in both layouts.
  const [B, S, T] = [q?.[0], q?.at(-2), k?.at(-2)];
  const P = past ? scope.shape(past)?.at(-2) : 0;
  const total = T === undefined || P === undefined ? undefined : sum(P, T);
  return B === undefined || S === undefined || total === undefined ? undefined : [B, 1, S, total];
}

function channels(scope: Scope, value: string, heads: number): number | undefined {
  const width = scope.shape(value)?.at(-1);
  return isNumber(width) && width % heads === 0 ? width / heads : undefined;
}
