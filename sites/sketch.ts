/** Test support: small graphs written as nested calls, and a few ready-made ones. */
import {
  type AttributeValue,
  DataType,
  floatTensor,
  type Graph,
  int64Tensor,
  type Model,
  makeGraph,
  makeModel,
  makeNode,
  makeValueInfo,
  type Node,
  type Tensor,
  type ValueInfo,
} from '../onnx/index.ts';

export class Sketch {
  readonly nodes: Node[] = [];
  readonly initializers: Tensor[] = [];
  readonly inputs: ValueInfo[] = [];
  readonly outputs: ValueInfo[] = [];
  #count = 0;

  input(name: string, shape: readonly (number | string)[], type: number = DataType.FLOAT): string {
    this.inputs.push(makeValueInfo(name, type, shape));
    return name;
  }

  output(name: string): string {
    this.outputs.push(makeValueInfo(name, DataType.FLOAT));
    return name;
  }

  /** A weight of zeros; recognition does not look at weights. */
  weight(...dims: number[]): string {
    const count = dims.reduce((product, dim) => product * dim, 1);
    return this.tensor(floatTensor(`w${this.#count++}`, new Array(count).fill(0), dims));
  }

  number(value: number): string {
    return this.tensor(floatTensor(`c${this.#count++}`, [value], []));
  }

  ints(...values: number[]): string {
    return this.tensor(int64Tensor(`i${this.#count++}`, values));
  }

  scalarInt(value: number): string {
    return this.tensor(int64Tensor(`n${this.#count++}`, [value], []));
  }

  tensor(tensor: Tensor): string {
    this.initializers.push(tensor);
    return tensor.name;
  }

  /** A node with one output; yields the output's name. */
  op(op: string, inputs: readonly string[], attributes: Record<string, AttributeValue> = {}): string {
    return this.many(op, inputs, 1, attributes)[0]!;
  }

  many(
    op: string,
    inputs: readonly string[],
    outputs: number,
    attributes: Record<string, AttributeValue> = {},
  ): string[] {
    const base = `${op.split('.').at(-1)}_${this.#count++}`;
    const names = Array.from({ length: outputs }, (_, i) => (i === 0 ? base : `${base}_${i}`));
    this.nodes.push(makeNode(op, inputs, names, { attributes }));
    return names;
  }

  graph(name = 'sketch'): Graph {
    const { nodes, initializers, inputs, outputs } = this;
    return makeGraph(name, { nodes, initializers, inputs, outputs });
  }

  model(opset = 17): Model {
    return makeModel(this.graph(), { '': opset, 'com.microsoft': 1 });
  }
}

/** Two layers of GroupQueryAttention with a packed projection and the residual sums in SkipSimplifiedLayerNormalization. */
export function fusedModel(): Model {
  const s = new Sketch();
  const [H, K, D] = [4, 2, 16];
  const X = H * D;
  const ids = s.input('input_ids', ['B', 'S'], DataType.INT64);
  const lengths = s.input('lengths', ['B'], DataType.INT32);
  const total = s.input('total', [], DataType.INT32);
  const gain = s.weight(X);
  let stream = s.op('Gather', [s.weight(8, X), ids]);
  let normed = s.op('SimplifiedLayerNormalization', [stream, gain]);
  for (let layer = 0; layer < 2; layer++) {
    const past = ['k', 'v'].map((part) => s.input(`past_${layer}_${part}`, ['B', K, 'P', D]));
    const qkv = s.op('MatMul', [normed, s.weight(X, (H + 2 * K) * D)]);
    const tables = [s.weight(32, D / 2), s.weight(32, D / 2)];
    const [z, k, v] = s.many(
      'com.microsoft.GroupQueryAttention',
      [qkv, '', '', ...past, lengths, total, ...tables],
      3,
      {
        num_heads: H,
        kv_num_heads: K,
        do_rotary: 1,
      },
    ) as [string, string, string];
    s.output(k);
    s.output(v);
    const skip = 'com.microsoft.SkipSimplifiedLayerNormalization';
    const out = s.op('MatMul', [z, s.weight(X, X)]);
    const [second, , , mid] = s.many(skip, [stream, out, gain], 4) as [string, string, string, string];
    const mlp = s.op('MatMul', [s.op('Sigmoid', [s.op('MatMul', [second, s.weight(X, X)])]), s.weight(X, X)]);
    const [next, , , post] = s.many(skip, [mid, mlp, gain], layer === 0 ? 4 : 1) as [
      string,
      string,
      string,
      string,
    ];
    [normed, stream] = [next, post];
  }
  s.output(s.op('MatMul', [normed, s.weight(X, 8)]));
  return s.model();
}

/** An encoder layer with com.microsoft.Attention, post-norms in SkipLayerNormalization with unnamed sums. */
export function packedModel(): Model {
  const s = new Sketch();
  const X = 16;
  const x = s.input('x', ['B', 'S', X]);
  const mask = s.input('mask', ['B', 'S'], DataType.INT32);
  const skip = 'com.microsoft.SkipLayerNormalization';
  const z = s.op('com.microsoft.Attention', [x, s.weight(X, 3 * X), s.weight(3 * X), mask], { num_heads: 2 });
  const middle = s.op(skip, [s.op('MatMul', [z, s.weight(X, X)]), x, s.weight(X), s.weight(X), s.weight(X)]);
  const mlp = s.op('MatMul', [
    s.op('com.microsoft.Gelu', [s.op('MatMul', [middle, s.weight(X, X)])]),
    s.weight(X, X),
  ]);
  s.output(s.op(skip, [mlp, middle, s.weight(X), s.weight(X)]));
  return s.model();
}
