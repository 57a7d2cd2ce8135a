/**
 * A graph under construction: nodes and initializers in order, named the way an exporter names them.
 */
import {
  type AttributeValue,
  DataType,
  floatTensor,
  int64Tensor,
  makeNode,
  type Node,
  type Tensor,
} from '../../onnx/index.ts';
import { LazyPayloads } from './lazy-payloads.ts';

/** How an exporter names what belongs to a node. */
export interface Naming {
  /** Output `index` of a node. */
  output(node: string, index: number): string;
  /** The weight of the MatMul at `scope` ('/model/layers.0/attn/q_proj'); `serial` is unique in the graph. */
  matMulWeight(scope: string, serial: number): string;
  /** The bias added at `scope`. */
  bias(scope: string): string;
  /** A constant's node and value; equal names mean that one node serves all. `serial` is unique in the graph. */
  constant(scope: string, text: string, type: string, serial: number): { node: string; value: string };
}

/** torch.onnx.export (TorchScript), which optimum used for most of the Hub. */
export const torchNaming: Naming = {
  output: (node, index) => `${node}_output_${index}`,
  matMulWeight: (_scope, serial) => `onnx::MatMul_${serial}`,
  bias: (scope) => `${dotted(scope)}.bias`,
  constant(scope, _text, _type, serial) {
    const node = `${scope}/Constant_${serial}`;
    return { node, value: `${node}_output_0` };
  },
};

/** onnxruntime-genai's model builder, and the Hub exports made after it. */
export const genaiNaming: Naming = {
  output: (node, index) => `${node}/output_${index}`,
  matMulWeight: (scope) => `${dotted(scope)}.MatMul.weight`,
  bias: (scope) => `${dotted(scope)}.Add.bias`,
  constant: (_scope, text, type) => ({
    node: `/model/constant_nodes/${type}/${text}`,
    value: `/model/constants/${type}/${text}`,
  }),
};

/** '/model/layers.0/attn' → 'model.layers.0.attn' */
function dotted(scope: string): string {
  return scope.slice(1).replaceAll('/', '.');
}

export class GraphEmitter {
  readonly nodes: Node[] = [];
  readonly initializers: Tensor[] = [];
  readonly payloads = new LazyPayloads();
  readonly #nodeNames = new Set<string>();
  readonly #naming: Naming;

  constructor(naming: Naming) {
    this.#naming = naming;
  }

  /** Add a node, named `name` or `name_1`, `name_2`, … if taken; returns its first output. */
  node(
    name: string,
    op: string,
    inputs: readonly string[],
    attributes: Record<string, AttributeValue> = {},
    outputs?: readonly string[],
  ): string {
    const unique = this.#unique(name);
    const made = outputs ?? [this.#naming.output(unique, 0)];
    this.nodes.push(makeNode(op, inputs, made, { name: unique, attributes }));
    return made[0]!;
  }

  output(node: string, index: number): string {
    return this.#naming.output(node, index);
  }

  #unique(name: string): string {
    let unique = name;
    for (let n = 1; this.#nodeNames.has(unique); n++) unique = `${name}_${n}`;
    this.#nodeNames.add(unique);
    return unique;
  }

  /** An int64 constant: a vector, or a scalar for a plain number. */
  int64(scope: string, value: number | readonly number[]): string {
    const [values, dims] = typeof value === 'number' ? [[value], []] : [value, [value.length]];
    return this.#constant(scope, JSON.stringify(value), 'INT64', int64Tensor('', values, dims));
  }

  /** A float scalar constant. */
  float(scope: string, value: number): string {
    return this.#constant(scope, String(value), 'FLOAT', floatTensor('', [value], []));
  }

  #constant(scope: string, text: string, type: string, tensor: Tensor): string {
    const { node, value } = this.#naming.constant(scope, text, type, this.nodes.length);
    if (this.#nodeNames.has(node)) return value;
    this.#nodeNames.add(node);
    this.nodes.push(makeNode('Constant', [], [value], { name: node, attributes: { value: tensor } }));
    return value;
  }

  /** A weight whose elements `make` returns when the model is written. */
  weight(name: string, dims: readonly number[], make: () => Float32Array): string {
    const count = dims.reduce((product, dim) => product * dim, 1);
    return this.#initializer(name, DataType.FLOAT, dims, count * 4, make);
  }

  /** As `weight`, of bytes. */
  bytesWeight(name: string, dims: readonly number[], make: () => Uint8Array): string {
    const length = dims.reduce((product, dim) => product * dim, 1);
    return this.#initializer(name, DataType.UINT8, dims, length, make);
  }

  #initializer(
    name: string,
    dataType: number,
    dims: readonly number[],
    length: number,
    make: () => Float32Array | Uint8Array,
  ): string {
    const bytes = () => {
      const { buffer, byteOffset, byteLength } = make();
      return new Uint8Array(buffer, byteOffset, byteLength);
    };
    this.initializers.push(this.payloads.tensor(name, dataType, dims, length, bytes));
    return name;
  }

  matMulWeightName(scope: string): string {
    return this.#naming.matMulWeight(scope, 1000 + this.nodes.length);
  }

  biasName(scope: string): string {
    return this.#naming.bias(scope);
  }
}
