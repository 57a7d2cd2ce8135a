/**
 * com.microsoft.GroupQueryAttention: the fused form in most Hub decoder exports.
 * Inputs: query (or packed q, k, v), key, value, past_key, past_value, seqlens_k, total_sequence_length, cos_cache,
 * sin_cache, position_ids, attention_bias, head_sink. Op reference: ONNX Runtime contrib operators.
 */
import { floatAttribute, intAttribute } from '../onnx/index.ts';
import { isNumber } from './dims.ts';
import { type FusedParts, fusedSite } from './fused.ts';
import { miss, type SiteRule } from './rule.ts';
import type { MaskUse, Rotary } from './site.ts';

/** Without this attribute a window is unlimited. */
const NO_WINDOW = -1;

export const groupQueryAttention: SiteRule = {
  name: 'group-query-attention',
  anchors: ['com.microsoft.GroupQueryAttention'],

  match(node, { scope, position }) {
    const H = intAttribute(node, 'num_heads', 0);
    const K = intAttribute(node, 'kv_num_heads', 0);
    if (H <= 0 || K <= 0) return miss(node, 'num_heads or kv_num_heads is missing');
    if (H % K !== 0) return miss(node, `num_heads ${H} is not a multiple of kv_num_heads ${K}`);
    const [query = '', key = '', value = ''] = node.inputs;
    const packed = key === '';
    const width = scope.shape(query)?.at(-1);
    const cached = scope.shape(node.inputs[3] ?? '')?.at(-1);
    const D = isNumber(cached) ? cached : isNumber(width) ? width / (packed ? H + 2 * K : H) : undefined;
    if (D === undefined || !Number.isInteger(D))
      return miss(node, `the head size cannot be told: query width ${width ?? 'unknown'}`);
    const window = intAttribute(node, 'local_window_size', NO_WINDOW);
    const bias = node.inputs[10] ?? '';
    const masks: MaskUse[] = [
      ...(node.inputs[5] ? [{ node, value: node.inputs[5], kind: 'lengths' as const }] : []),
      ...(bias ? [{ node, value: bias, kind: 'additive' as const }] : []),
    ];
    const parts: FusedParts = {
      form: packed ? 'P1a' : 'P1b',
      packedQkv: packed,
      biasInput: 10,
      q: packed ? undefined : { value: query, layout: 'BS(HD)' },
      k: packed ? undefined : { value: key, layout: 'BS(HD)' },
      v: packed ? undefined : { value, layout: 'BS(HD)' },
      packed: packed ? query : undefined,
      numHeads: H,
      kvHeads: K,
      headDim: D,
      valueDim: D,
      scale: floatAttribute(node, 'scale', 0) || 1 / Math.sqrt(D),
      softcap: positive(floatAttribute(node, 'softcap', 0)),
      window: window > 0 ? window : undefined,
      headSink: node.inputs[11] || undefined,
      rotary: rotaryInside(
        node.inputs,
        intAttribute(node, 'do_rotary', 0),
        intAttribute(node, 'rotary_interleaved', 0),
        scope.shape(node.inputs[7] ?? '')?.at(-1),
      ),
      masks,
      causal: intAttribute(node, 'causal', 1) === 1,
      causalBy: intAttribute(node, 'causal', 1) === 1 ? 'the operator is causal' : 'attribute causal=0',
      past:
        node.inputs[3] && node.inputs[4]
          ? { k: node.inputs[3], v: node.inputs[4], layout: 'BHPD' }
          : undefined,
      present:
        node.outputs[1] && node.outputs[2]
          ? { k: node.outputs[1], v: node.outputs[2], layout: 'BHPD' }
          : undefined,
      zLayout: 'BS(HD)',
      attention: 'self',
    };
    return fusedSite(scope, node, position, parts);
  },
};

/** ONNX Runtime caps scores by a positive number only. */
function positive(value: number): number | undefined {
  return value > 0 ? value : undefined;
}

function rotaryInside(
  inputs: readonly string[],
  does: number,
  interleaved: number,
  half: unknown,
): Rotary | undefined {
  if (does !== 1) return undefined;
  const dim = isNumber(half as number) ? (half as number) * 2 : undefined;
  return {
    by: 'operator',
    interleaved: interleaved === 1,
    dim,
    cos: inputs[7] || undefined,
    sin: inputs[8] || undefined,
    tables: true,
  };
}
