/**
 * com.microsoft.GroupQueryAttention taken apart, for edits the operator cannot carry: packed or separate q, k and v,
 * rotary as a RotaryEmbedding node of its own, the cache joined by Concat.
 *
 * The result describes rows of one length. A batch of rows of different lengths needs `keys` (its attention_mask) and
 * `positions`: the operator itself takes every row as starting at column 0.
 *
 * Operator reference: ONNX Runtime contrib operators, GroupQueryAttention and RotaryEmbedding.
 */
import { AttuneError } from '../../errors.ts';
import { type Emit, emitter } from '../../onnx/emitter.ts';
import { type Attribute, DataType, type Node } from '../../onnx/index.ts';
import type { ExpandedSite } from './expanded.ts';
import { type Lowered, lowered } from './lowered.ts';

/** A GroupQueryAttention node to take apart. */
export interface GroupQuerySite {
  /** Unique in the model; prefix of everything emitted. */
  readonly name: string;
  /** The model's ai.onnx operator set. */
  readonly opset: number;
  /** DataType of q, k and v. */
  readonly elemType: number;
  /** The node. */
  readonly node: Node;
  /** Size of a head. */
  readonly D: number;
  /** Channels the operator rotates: twice the width of its tables. Default D. */
  readonly rotaryDim?: number | undefined;
  /** Value [B, T], 0 at padding. */
  readonly keys?: string | undefined;
  /** Value [B, S] int64. Default: those the operator is given, or counts from its own seqlens_k. */
  readonly positions?: string | undefined;
}

/** What a GroupQueryAttention is apart. */
export interface OpenedSite {
  /** Nodes that make q, k and v of this call; insert before those of the expanded lowering. */
  readonly opening: Lowered;
  /** For expandedAttention. */
  readonly site: ExpandedSite;
}

const INPUT = {
  q: 0,
  k: 1,
  v: 2,
  pastK: 3,
  pastV: 4,
  seqlens: 5,
  total: 6,
  cos: 7,
  sin: 8,
  positions: 9,
  bias: 10,
  sink: 11,
};

/**
 * A GroupQueryAttention as nodes that make q, k and v, and a site for expandedAttention.
 *
 * @throws AttuneError LOWERING_LACKS_OPERATOR for options that have no expanded counterpart here (quantised cache,
 *   smooth softmax, q and k norms inside)
 */
export function openGroupQueryAttention(gqa: GroupQuerySite): OpenedSite {
  const { node, name, D } = gqa;
  const input = (index: number) => node.inputs[index] || undefined;
  const number = (attribute: string, otherwise: number) => numberOf(node, attribute) ?? otherwise;
  const H = number('num_heads', 0);
  const K = number('kv_num_heads', 0);
  refuse(gqa, number('smooth_softmax', 0) > 0, 'smooth_softmax');
  refuse(gqa, number('k_quant_type', 0) > 0 || number('kv_cache_bit_width', 0) > 0, 'a quantised cache');
  refuse(gqa, node.inputs.slice(INPUT.sink + 1).some(Boolean), 'inputs after head_sink');

  const emit = emitter(gqa.opset, `${name}.open.`);
  const [q, k, v] = input(INPUT.k)
    ? [node.inputs[0]!, node.inputs[1]!, node.inputs[2]!]
    : emit.many(3, 'Split', [node.inputs[0]!, emit.ints(H * D, K * D, K * D)], { axis: 2 });
  const rotary = number('do_rotary', 0) !== 0;
  const rotated = rotary ? rotate(emit, gqa, [q!, k!], [H, K]) : [q!, k!];
  const window = number('local_window_size', -1);
  const softcap = number('softcap', 0);
  const scale = number('scale', 0);
  const [z, presentK, presentV] = node.outputs;
  const past = input(INPUT.pastK);
  return {
    opening: lowered(emit),
    site: {
      name,
      opset: gqa.opset,
      elemType: gqa.elemType,
      H,
      K,
      D,
      q: { value: rotated[0]!, layout: 'BS(ND)' },
      k: { value: rotated[1]!, layout: 'BS(ND)' },
      v: { value: v!, layout: 'BS(ND)' },
      past: past ? { k: past, v: node.inputs[INPUT.pastV]! } : undefined,
      present: presentK && presentV ? { k: presentK, v: presentV } : undefined,
      scale: scale > 0 ? scale : undefined,
      softcap: softcap > 0 ? softcap : undefined,
      causal: true,
      window: window > 0 ? window : undefined,
      headSink: input(INPUT.sink),
      keys: gqa.keys,
      bias: input(INPUT.bias),
      z: { value: z!, layout: 'BS(ND)' },
    },
  };
}

function rotate(
  emit: Emit,
  gqa: GroupQuerySite,
  values: readonly string[],
  heads: readonly number[],
): string[] {
  const { node, D } = gqa;
  const tables = [node.inputs[INPUT.cos]!, node.inputs[INPUT.sin]!];
  const positions = gqa.positions ?? ownPositions(emit, node);
  const interleaved = numberOf(node, 'rotary_interleaved') ?? 0;
  const dim = gqa.rotaryDim ?? D;
  return values.map((value, i) => {
    // Heads stay merged; of a full rotation the tables tell how wide one is.
    const partial: Record<string, number> =
      dim < D ? { rotary_embedding_dim: dim, num_heads: heads[i]! } : {};
    return emit('com.microsoft.RotaryEmbedding', [value, positions, ...tables], { interleaved, ...partial });
  });
}

/**
 * Where a GroupQueryAttention takes the rows of a call to stand: int64 [B, S].
 * @param S rows of the call, int64 [1]
 */
export function ownPositions(emit: Emit, node: Node, S = emit.dim(node.inputs[0]!, 1)): string {
  const given = node.inputs[INPUT.positions];
  if (given) {
    const T = emit('Reshape', [
      emit('Cast', [node.inputs[INPUT.total]!], { to: DataType.INT64 }),
      emit.ints(1),
    ]);
    return givenPositions(emit, given, emit('Sub', [T, S]));
  }
  // Row s at max(seqlens_k + 1 - S, 0) + s.
  const total = emit('Add', [
    emit('Cast', [node.inputs[INPUT.seqlens]!], { to: DataType.INT64 }),
    emit.ints(1),
  ]);
  const past = emit('Max', [emit('Sub', [emit('Reshape', [total, emit.ints(-1, 1)]), S]), emit.ints(0)]);
  return emit('Add', [past, emit('Range', [emit.int(0), emit('Squeeze', [S]), emit.int(1)])]);
}

/**
 * Positions the operator is given, as its CPU kernel reads them: of a first prompt only the first one of the batch, from
 * which it counts on.
 * @param positions [B, S] @param past keys before this call, int64 [1]
 */
export function givenPositions(emit: Emit, positions: string, past: string): string {
  const [zero, one] = [emit.ints(0), emit.ints(1)];
  const start = emit.slice(emit.slice(positions, 0, zero, one), 1, zero, one);
  const S = emit('Squeeze', [emit.dim(positions, 1)]);
  const counted = emit('Add', [start, emit('Range', [emit.int(0), S, emit.int(1)])]);
  return emit('Where', [emit('Equal', [past, zero]), counted, positions]);
}

function numberOf(node: Node, name: string): number | undefined {
  const found: Attribute | undefined = node.attributes.find((attribute) => attribute.name === name);
  return found?.i ?? found?.f;
}

function refuse(gqa: GroupQuerySite, condition: boolean, what: string): void {
  if (!condition) return;
  throw new AttuneError('LOWERING_LACKS_OPERATOR', {
    at: gqa.node.name || gqa.name,
    found: `GroupQueryAttention with ${what}`,
    expected: 'a form the expanded lowering knows',
  });
}
