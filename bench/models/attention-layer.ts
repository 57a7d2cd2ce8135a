/**
 * One attention layer without projections and rotation, in the forms that kernels are compared with.
 *
 * Inputs q [B, S, H·D], k and v [B, S, K·D] (already rotated), past_key and past_value [B, K, P, D]; 'gqa' also
 * takes seqlens_k [B] (T - 1) and total_sequence_length [] (T), both int32. Outputs z [B, S, H·D], present_key and
 * present_value [B, K, T, D], T = P + S. Causal, scale 1/√D, float32. All forms compute the same.
 */
import {
  assemble,
  DataType,
  encodeModel,
  makeGraph,
  makeModel,
  makeValueInfo,
  type ValueInfo,
} from '../../onnx/index.ts';
import { GraphEmitter, torchNaming } from '../../testbed/builders/emitter.ts';

export interface AttentionShape {
  /** H */
  readonly numHeads: number;
  /** K */
  readonly numKeyValueHeads: number;
  /** D */
  readonly headDim: number;
}

/** huggingface.co/meta-llama/Llama-3.2-1B, config.json. */
export const LLAMA_1B: AttentionShape = { numHeads: 32, numKeyValueHeads: 8, headDim: 64 };

/** com.microsoft.GroupQueryAttention; ai.onnx Attention (opset 23); MatMul, Softmax, MatMul. */
export type AttentionForm = 'gqa' | 'attention-23' | 'decomposed';

/** Bytes of an ONNX model; it has no weights. */
export async function attentionLayer(
  form: AttentionForm,
  shape: AttentionShape = LLAMA_1B,
): Promise<Uint8Array> {
  const g = new GraphEmitter(torchNaming);
  EMIT[form](g, shape);
  const inputs = [...attentionInputs(shape), ...(form === 'gqa' ? LENGTHS : [])];
  const graph = makeGraph(form, { nodes: g.nodes, inputs, outputs: attentionOutputs(shape) });
  const model = makeModel(graph, { '': form === 'attention-23' ? 23 : 17, 'com.microsoft': 1 });
  return assemble(encodeModel(model), g.payloads);
}

function attentionInputs({ numHeads: H, numKeyValueHeads: K, headDim: D }: AttentionShape): ValueInfo[] {
  const value = (name: string, shape: (string | number)[]) => makeValueInfo(name, DataType.FLOAT, shape);
  return [
    value('q', ['B', 'S', H * D]),
    value('k', ['B', 'S', K * D]),
    value('v', ['B', 'S', K * D]),
    value('past_key', ['B', K, 'P', D]),
    value('past_value', ['B', K, 'P', D]),
  ];
}

const LENGTHS = [
  makeValueInfo('seqlens_k', DataType.INT32, ['B']),
  makeValueInfo('total_sequence_length', DataType.INT32, []),
];

const OUTPUTS = ['z', 'present_key', 'present_value'];

function attentionOutputs({ numHeads: H, numKeyValueHeads: K, headDim: D }: AttentionShape): ValueInfo[] {
  const shapes = [
    ['B', 'S', H * D],
    ['B', K, 'T', D],
    ['B', K, 'T', D],
  ];
  return OUTPUTS.map((name, i) => makeValueInfo(name, DataType.FLOAT, shapes[i]));
}

const EMIT: Record<AttentionForm, (g: GraphEmitter, shape: AttentionShape) => void> = {
  gqa(g, { numHeads, numKeyValueHeads, headDim }) {
    const inputs = ['q', 'k', 'v', 'past_key', 'past_value', 'seqlens_k', 'total_sequence_length'];
    const attributes = {
      num_heads: numHeads,
      kv_num_heads: numKeyValueHeads,
      scale: { float: 1 / Math.sqrt(headDim) },
    };
    g.node('/GroupQueryAttention', 'com.microsoft.GroupQueryAttention', inputs, attributes, OUTPUTS);
  },

  'attention-23'(g, { numHeads, numKeyValueHeads, headDim }) {
    const inputs = ['q', 'k', 'v', '', 'past_key', 'past_value'];
    const attributes = {
      q_num_heads: numHeads,
      kv_num_heads: numKeyValueHeads,
      is_causal: 1,
      scale: { float: 1 / Math.sqrt(headDim) },
    };
    g.node('/Attention', 'Attention', inputs, attributes, OUTPUTS);
  },

  decomposed(g, { numHeads: H, numKeyValueHeads: K, headDim: D }) {
    const reshape = (value: string, shape: number[], output?: string) =>
      g.node('/Reshape', 'Reshape', [value, g.int64('', shape)], {}, output ? [output] : undefined);
    const transpose = (value: string, perm: number[]) => g.node('/Transpose', 'Transpose', [value], { perm });
    const heads = (value: string, count: number) => transpose(reshape(value, [0, 0, count, D]), [0, 2, 1, 3]);
    /** [B, K, T, D], then every kv head H/K times: [B, H, T, D] */
    const joinAndRepeat = (kind: 'key' | 'value', fresh: string) => {
      const inputs = [`past_${kind}`, heads(fresh, K)];
      const present = g.node('/Concat', 'Concat', inputs, { axis: 2 }, [`present_${kind}`]);
      if (H === K) return present;
      const group = g.node('/Unsqueeze', 'Unsqueeze', [present, g.int64('', [2])]);
      const copies = g.node('/Expand', 'Expand', [group, g.int64('', [1, 1, H / K, 1, 1])]);
      return reshape(copies, [0, H, -1, D]);
    };
    const q = heads('q', H);
    const k = joinAndRepeat('key', 'k');
    const v = joinAndRepeat('value', 'v');
    const products = g.node('/MatMul', 'MatMul', [q, transpose(k, [0, 1, 3, 2])]); // [B, H, S, T]
    const scaled = g.node('/Mul', 'Mul', [products, g.float('', 1 / Math.sqrt(D))]);
    const scores = g.node('/Add', 'Add', [scaled, emitCausalMask(g)]);
    const pattern = g.node('/Softmax', 'Softmax', [scores], { axis: -1 });
    const perHead = g.node('/MatMul', 'MatMul', [pattern, v]); // [B, H, S, D]
    reshape(transpose(perHead, [0, 2, 1, 3]), [0, 0, H * D], 'z');
  },
};

/** [S, T]: 0 up to key P + s in row s, the lowest float after it. */
function emitCausalMask(g: GraphEmitter): string {
  const length = (value: string, axis: number) =>
    g.node('/Gather', 'Gather', [g.node('/Shape', 'Shape', [value]), g.int64('', axis)], { axis: 0 });
  const past = length('past_key', 2);
  const total = g.node('/Add', 'Add', [past, length('q', 1)]);
  const keys = g.node('/Range', 'Range', [g.int64('', 0), total, g.int64('', 1)]);
  const rows = g.node('/Range', 'Range', [past, total, g.int64('', 1)]);
  const column = g.node('/Unsqueeze', 'Unsqueeze', [rows, g.int64('', [1])]);
  const future = g.node('/Greater', 'Greater', [keys, column]);
  return g.node('/Where', 'Where', [future, g.float('', -3.4028234663852886e38), g.float('', 0)]);
}
