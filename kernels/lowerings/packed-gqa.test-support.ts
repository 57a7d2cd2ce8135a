/** A GroupQueryAttention of packed q, k and v with its cache, as most exports have it, and runs of what is made of it. */
import {
  DataType,
  floatTensor,
  makeGraph,
  makeNode,
  makeValueInfo,
  type Node,
  tensorValues,
} from '../../onnx/index.ts';
import { rope, rotaryTables } from '../reference/index.ts';
import type { Feed, Runner } from '../verify/runner.ts';
import type { Lowered } from './lowered.ts';

export const [H, K, D] = [4, 2, 32];
export const OPSET = 21;

export interface Rotary {
  readonly interleaved: boolean;
  readonly dim: number;
}

export function gqa(rotary?: Rotary): Node {
  const tables = rotary ? ['cos', 'sin'] : [];
  return makeNode(
    'com.microsoft.GroupQueryAttention',
    ['packed', '', '', 'past_k', 'past_v', 'seqlens', 'total', ...tables],
    ['z', 'present_k', 'present_v'],
    {
      attributes: {
        num_heads: H,
        kv_num_heads: K,
        do_rotary: rotary ? 1 : 0,
        rotary_interleaved: rotary?.interleaved ? 1 : 0,
      },
    },
  );
}

export function feeds(B: number, S: number, past: number, seed: number): Record<string, Feed> {
  let i = seed;
  const values = (...dims: number[]) => ({
    elemType: DataType.FLOAT,
    dims,
    values: Array.from({ length: dims.reduce((a, b) => a * b, 1) }, () => Math.sin(12.9898 * ++i) * 1.7),
  });
  return {
    packed: values(B, S, (H + 2 * K) * D),
    past_k: values(B, K, past, D),
    past_v: values(B, K, past, D),
    seqlens: { elemType: DataType.INT32, dims: [B], values: Array(B).fill(past + S - 1) },
    total: { elemType: DataType.INT32, dims: [], values: [past + S] },
  };
}

export async function run(
  runner: Runner,
  parts: readonly Lowered[],
  given: Record<string, Feed>,
  rotary?: Rotary,
) {
  const knobs = parts.flatMap((part) => part.knobs);
  const all: Record<string, Feed> = { ...given };
  for (const { name, elemType, neutral } of knobs) {
    all[name] = { elemType, dims: neutral.dims, values: tensorValues(neutral)! };
  }
  const { cos, sin } = rotaryTables(rope(10000, rotary?.dim ?? 2), 128);
  const tables = [cos, sin].map((t, i) =>
    floatTensor(['cos', 'sin'][i]!, Float32Array.from(t.data), [...t.shape]),
  );
  const graph = makeGraph('site', {
    nodes: parts.flatMap(({ nodes }) => nodes),
    inputs: Object.entries(all).map(([name, { elemType, dims }]) =>
      makeValueInfo(
        name,
        elemType,
        dims.map((dim, axis) =>
          ['packed', 'past_k', 'past_v'].includes(name) && axis === dims.length - 1 ? dim : `${name}_${axis}`,
        ),
      ),
    ),
    outputs: ['z', 'present_k', 'present_v'].map((name) => makeValueInfo(name, DataType.FLOAT)),
    initializers: rotary ? tables : [],
  });
  const functions = [...new Map(parts.flatMap((part) => part.functions).map((fn) => [fn.name, fn])).values()];
  return runner.run({ graph, functions, opsets: parts[0]!.opsets }, all);
}
