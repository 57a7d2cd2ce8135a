/**
 * Left padding on GroupQueryAttention exports. The operator counts real tokens (`seqlens_k`) and assumes that they
 * come first, while batched generation pads on the left: rows attend to padding and miss their newest keys. The
 * correction gives the operator the full length for every row and masks padded keys by a bias. Rotary attention
 * depends on differences of positions only, so shifted rows need nothing else.
 * ORT contrib operators, GroupQueryAttention: inputs 5 (seqlens_k), 10 (attention_bias).
 *
 * The bias costs about 4 % of a prefill (docs/performance.md), so models have the correction compiled in when the first padded
 * batch comes; a bare session is made with it (`padding: true`), or refuses padded feeds.
 */

import { DataType } from '../../onnx/index.ts';
import type { Site } from '../../sites/site.ts';
import type { EditContext, Plan } from '../compile/index.ts';
import type { Feeds } from './runtime.ts';

/** Finite, so that a padded query row, which sees padding only, stays finite too; exp of it is 0 in any float. */
const MASKED = -1e9;
const MASKED_HALF = -6e4;

/** Edits that correct left padding at fused sites; none for a model without attention mask. */
export function paddingPlan(sites: readonly Site[], hasAttentionMask: boolean): Plan {
  if (!hasAttentionMask) return {};
  const fused = sites.filter(({ operator }) => operator === 'com.microsoft.GroupQueryAttention');
  return {
    edits: fused.flatMap((site) => [
      { kind: 'operand', site, input: 5, build: fullLengths },
      { kind: 'bias', site, hidesPadding: true, build: (context) => paddingBias(context, site) },
    ]),
  };
}

/** Whether the run's attention mask, [B,T], hides any token. */
export function isPadded({ attention_mask: mask }: Feeds): boolean {
  if (mask === undefined) return false;
  const data = mask.data as BigInt64Array | Int32Array | Float32Array;
  return data instanceof BigInt64Array ? data.includes(0n) : data.includes(0);
}

/** [B] int32: T − 1 for every row. */
function fullLengths({ emit, attentionMask, once }: EditContext): string {
  return once('padding:lengths', () => {
    const last = emit.op('Sub', [emit.dim(attentionMask!, 1), emit.ints(1)], 'last_key');
    const rows = emit.op('Expand', [last, emit.dim(attentionMask!, 0)], 'last_keys');
    return emit.cast(rows, DataType.INT32);
  });
}

/** [B,1,1,T]: 0 for real keys. */
function paddingBias({ emit, attentionMask, once }: EditContext, site: Site): string {
  const masked = site.elemType === DataType.FLOAT16 ? MASKED_HALF : MASKED;
  return once(`padding:bias ${masked}`, () => {
    const real = emit.cast(attentionMask!, DataType.BOOL);
    const bias = emit.op('Where', [real, emit.scalar(0), emit.scalar(masked)], 'padding');
    return emit.reshape(bias, [0, 1, 1, -1]);
  });
}
