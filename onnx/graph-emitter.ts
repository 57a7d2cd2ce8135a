/**
 * Collects the nodes and constants that an edit adds to one graph, with names that cannot clash. Only operators
 * and signatures that mean the same from opset 11 to the newest are used, so one emission serves every model.
 */
import { AttuneError } from '../errors.ts';
import {
  type AttributeValue,
  boolTensor,
  DataType,
  floatTensor,
  type Graph,
  int64Tensor,
  makeGraph,
  makeNode,
  makeValueInfo,
  type Node,
  type Tensor,
} from './index.ts';

/** Everything attune adds to a graph has a name under this prefix. */
export const PREFIX = 'attune';

/** A length known now, or that of an axis of a value at run time. */
export type Length = number | { readonly of: string; readonly axis: number };

const EMPTY: Graph = makeGraph('', { nodes: [], inputs: [], outputs: [] });

export class Emitter {
  readonly nodes: Node[] = [];
  readonly initializers: Tensor[] = [];
  readonly opset: number;
  readonly #prefix: string;
  readonly #taken: Set<string>;
  readonly #constants = new Map<string, string>();

  /** @param taken names in use around the graph, shared with whoever uses them */
  constructor(graph: Graph, opset: number, prefix = PREFIX, taken?: Set<string>) {
    this.opset = opset;
    this.#prefix = prefix;
    this.#taken =
      taken ??
      new Set([
        ...graph.inputs.map(({ name }) => name),
        ...graph.initializers.map(({ name }) => name),
        ...graph.nodes.flatMap((node) => node.outputs),
      ]);
  }

  /** A fresh value name. */
  name(hint: string): string {
    const base = `${this.#prefix}/${hint}`;
    let name = base;
    for (let i = 1; this.#taken.has(name); i++) name = `${base}_${i}`;
    this.#taken.add(name);
    return name;
  }

  /** A node with one output, which is returned. */
  op(
    op: string,
    inputs: readonly string[],
    hint: string,
    attributes: Record<string, AttributeValue> = {},
  ): string {
    const output = this.name(hint);
    this.nodes.push(makeNode(op, inputs, [output], { name: output, attributes }));
    return output;
  }

  #constant(key: string, hint: string, make: (name: string) => Tensor): string {
    const existing = this.#constants.get(key);
    if (existing) return existing;
    const name = this.name(`const/${hint}`);
    this.initializers.push(make(name));
    this.#constants.set(key, name);
    return name;
  }

  /** int64 constant of one dimension. */
  ints(...values: number[]): string {
    return this.#constant(`i${values}`, `i_${values.join('_')}`, (name) => int64Tensor(name, values));
  }

  /** int64 scalar. */
  int(value: number): string {
    return this.#constant(`s${value}`, `s_${value}`, (name) => int64Tensor(name, [value], []));
  }

  bool(value: boolean): string {
    return this.#constant(`b${value}`, String(value), (name) => boolTensor(name, [value], []));
  }

  /** A scalar of the given float type. */
  scalar(value: number, elemType: number = DataType.FLOAT): string {
    const constant = this.#constant(`f${value}`, `f_${value}`, (name) => floatTensor(name, [value], []));
    if (elemType === DataType.FLOAT) return constant;
    const key = `f${value}:${elemType}`;
    const existing = this.#constants.get(key);
    if (existing) return existing;
    const cast = this.cast(constant, elemType);
    this.#constants.set(key, cast);
    return cast;
  }

  cast(value: string, elemType: number): string {
    return this.op('Cast', [value], 'cast', { to: elemType });
  }

  transpose(value: string, perm: readonly number[]): string {
    return this.op('Transpose', [value], 'transpose', { perm });
  }

  /** Length of one axis as int64 [1]. */
  length(of: string, axis: number): string {
    const key = `d${axis}:${of}`;
    const existing = this.#constants.get(key);
    if (existing) return existing;
    // Shape takes a part of it since opset 15.
    const dim =
      this.opset >= 15
        ? this.op('Shape', [of], 'dim', { start: axis, end: axis + 1 })
        : this.op('Gather', [this.op('Shape', [of], 'shape'), this.ints(axis)], 'dim', { axis: 0 });
    this.#constants.set(key, dim);
    return dim;
  }

  /** A shape vector; numbers may be 0 (copy) and -1 (infer) as in Reshape. */
  shape(lengths: readonly Length[]): string {
    if (lengths.every((length) => typeof length === 'number')) return this.ints(...lengths);
    const parts = lengths.map((length) =>
      typeof length === 'number' ? this.ints(length) : this.length(length.of, length.axis),
    );
    return this.op('Concat', parts, 'shape_of', { axis: 0 });
  }

  reshape(value: string, lengths: readonly Length[]): string {
    return this.op('Reshape', [value, this.shape(lengths)], 'reshape');
  }

  /** value[..., from:to, ...] along one axis. */
  slice(value: string, axis: number, from: string, to: string): string {
    return this.op('Slice', [value, from, to, this.ints(axis)], 'slice');
  }

  /** Pieces of equal length along one axis. */
  split(value: string, axis: number, count: number): string[] {
    const outputs = Array.from({ length: count }, () => this.name('piece'));
    // Opset 18 wants to be told what the number of outputs says.
    const attributes = { axis, ...(this.opset >= 18 && { num_outputs: count }) };
    this.nodes.push(makeNode('Split', [value], outputs, { name: outputs[0]!, attributes }));
    return outputs;
  }

  /** int64 0, 1, …, n-1 for an int64 [1] length. */
  range(length: string): string {
    this.require(11, 'Range');
    const end = this.op('Reshape', [length, this.shape([])], 'scalar');
    return this.op('Range', [this.int(0), end, this.int(1)], 'range');
  }

  /**
   * One of two values, of which only the chosen one is computed: each side emits into a branch of an If.
   * @param condition bool of one element @param elemType DataType of both
   */
  either(
    condition: string,
    elemType: number,
    yes: (inner: Emitter) => string,
    no: (inner: Emitter) => string,
  ): string {
    const branch = (side: string, make: (inner: Emitter) => string) => {
      const inner = new Emitter(EMPTY, this.opset, this.#prefix, this.#taken);
      // A branch may only give what its own nodes make.
      const value = inner.op('Identity', [make(inner)], side);
      return makeGraph(this.name(side), {
        nodes: inner.nodes,
        initializers: inner.initializers,
        inputs: [],
        outputs: [makeValueInfo(value, elemType)],
      });
    };
    const attributes = { then_branch: branch('yes', yes), else_branch: branch('no', no) };
    return this.op('If', [condition], 'either', attributes);
  }

  /** @throws AttuneError OPSET_TOO_OLD */
  require(opset: number, what: string): void {
    if (this.opset >= opset) return;
    throw new AttuneError('OPSET_TOO_OLD', {
      at: what,
      found: `ai.onnx opset ${this.opset}`,
      expected: `at least ${opset}`,
      hint: 'Convert the model with onnx.version_converter.',
    });
  }
}
