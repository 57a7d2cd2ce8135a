/**
 * Lookups over one graph: who makes a value, who uses it, what is constant. Built once, O(nodes). Sub-graphs get
 * an index of their own with a `parent`, because their nodes may use outer values.
 */
import { AttuneError } from '../errors.ts';
import { type Attribute, type Graph, type Node, qualifiedOp, type Tensor, type ValueInfo } from './model.ts';
import { saturated } from './wire.ts';

/** Which node makes a value. */
export interface Producer {
  /** The node. */
  readonly node: Node;
  /** Position in graph.nodes. */
  readonly position: number;
  /** Which output of the node. */
  readonly output: number;
}

/** Which node uses a value. */
export interface Use {
  /** The node. */
  readonly node: Node;
  /** Position in graph.nodes. */
  readonly position: number;
  /** Which input of the node; -1 when a sub-graph of the node captures the value. */
  readonly input: number;
}

/**
 * Lookups over one graph: who makes a value, who uses it, what is constant.
 *
 * @example const index = new GraphIndex(file.model.graph); index.producer('logits')?.node.opType;
 */
export class GraphIndex {
  /** The graph it is of. */
  readonly graph: Graph;
  /** Index of the graph around it; undefined for the main graph. */
  readonly parent: GraphIndex | undefined;
  readonly #producers = new Map<string, Producer>();
  readonly #uses = new Map<string, Use[]>();
  readonly #initializers: ReadonlyMap<string, Tensor>;
  readonly #infos = new Map<string, ValueInfo>();
  readonly #inputs: ReadonlySet<string>;
  readonly #outputs: ReadonlySet<string>;

  /** @throws AttuneError ONNX_DUPLICATE_VALUE when two nodes make one value */
  constructor(graph: Graph, parent?: GraphIndex) {
    this.graph = graph;
    this.parent = parent;
    this.#initializers = new Map(graph.initializers.map((tensor) => [tensor.name, tensor]));
    this.#inputs = new Set(graph.inputs.map(({ name }) => name));
    this.#outputs = new Set(graph.outputs.map(({ name }) => name));
    for (const info of [...graph.valueInfos, ...graph.inputs, ...graph.outputs])
      this.#infos.set(info.name, info);
    for (let position = 0; position < graph.nodes.length; position++) {
      const node = graph.nodes[position]!;
      for (let output = 0; output < node.outputs.length; output++) {
        if (node.outputs[output] !== '') this.#produce(node.outputs[output]!, { node, position, output });
      }
      for (let input = 0; input < node.inputs.length; input++) {
        if (node.inputs[input] !== '') this.#use(node.inputs[input]!, { node, position, input });
      }
      for (const subgraph of subgraphs(node)) {
        for (const name of capturedValues(subgraph)) this.#use(name, { node, position, input: -1 });
      }
    }
  }

  #produce(name: string, producer: Producer): void {
    const earlier = this.#producers.get(name);
    // Old optimisers leave a Constant beside its folded replacement. ONNX Runtime turns Constant nodes into
    // initializers, where the last one counts; any other repetition is an invalid graph.
    const tolerated = earlier?.node.opType === 'Constant' && producer.node.opType === 'Constant';
    if ((earlier && !tolerated) || this.#inputs.has(name)) {
      throw new AttuneError('ONNX_DUPLICATE_VALUE', {
        at: `node ${describeNode(producer.node)} (position ${producer.position})`,
        found: `a second definition of value "${name}"`,
        expected: 'each value defined once',
        hint: earlier ? `The first is node ${describeNode(earlier.node)}.` : 'It is a graph input as well.',
      });
    }
    this.#producers.set(name, producer);
  }

  #use(name: string, use: Use): void {
    const uses = this.#uses.get(name);
    if (uses) uses.push(use);
    else this.#uses.set(name, [use]);
  }

  /** The node that makes the value, in this scope only. */
  producer(value: string): Producer | undefined {
    return this.#producers.get(value);
  }

  /** Uses in this scope, in node order; a capture by a sub-graph counts as a use by the node that holds it. */
  uses(value: string): readonly Use[] {
    return this.#uses.get(value) ?? [];
  }

  /** Whether it is an input of this graph. */
  isInput(value: string): boolean {
    return this.#inputs.has(value);
  }

  /** Whether it is an output of this graph. */
  isOutput(value: string): boolean {
    return this.#outputs.has(value);
  }

  /** Whether it is made, fed or stored in this graph. */
  isDefined(value: string): boolean {
    return this.#producers.has(value) || this.#inputs.has(value) || this.#initializers.has(value);
  }

  /** Declared type and shape. Declarations are sometimes wrong: treat them as hints. */
  info(value: string): ValueInfo | undefined {
    return this.#infos.get(value) ?? this.parent?.info(value);
  }

  /** The initializer of this name, in this graph only. */
  initializer(value: string): Tensor | undefined {
    return this.#initializers.get(value);
  }

  /** The constant behind a value: an initializer that no caller can override, or a Constant node; outer scopes too. */
  constant(value: string): Tensor | undefined {
    const producer = this.#producers.get(value);
    if (producer) return producer.node.opType === 'Constant' ? constantTensor(producer.node) : undefined;
    const initializer = this.#initializers.get(value);
    if (initializer) return initializer;
    return this.#inputs.has(value) ? undefined : this.parent?.constant(value);
  }
}

/** 'name (OpType)', or the op and first output where a node has no name. */
export function describeNode(node: Node): string {
  const label = node.name || (node.outputs[0] ? `-> ${node.outputs[0]}` : 'unnamed');
  return `${label} (${qualifiedOp(node)})`;
}

/** The attribute of a node, where it has it. */
export function findAttribute(node: Node, name: string): Attribute | undefined {
  return node.attributes.find((attribute) => attribute.name === name);
}

/** A whole-number attribute of a node. */
export function intAttribute(node: Node, name: string, fallback: number): number {
  return findAttribute(node, name)?.i ?? fallback;
}

/** A number attribute of a node. */
export function floatAttribute(node: Node, name: string, fallback: number): number {
  return findAttribute(node, name)?.f ?? fallback;
}

/** A list of whole numbers of a node. */
export function intsAttribute(node: Node, name: string): readonly number[] | undefined {
  return findAttribute(node, name)?.ints;
}

/** A text attribute of a node. */
export function stringAttribute(node: Node, name: string): string | undefined {
  const bytes = findAttribute(node, name)?.s;
  return bytes && new TextDecoder().decode(bytes);
}

const NONE: readonly Graph[] = [];

/** Graph-valued attributes: the branches of If, the bodies of Loop and Scan, the decoder of BeamSearch. */
export function subgraphs(node: Node): readonly Graph[] {
  if (node.attributes.every(({ g, graphs }) => !g && !graphs)) return NONE;
  return node.attributes.flatMap((attribute) => [
    ...(attribute.g ? [attribute.g] : []),
    ...(attribute.graphs ?? []),
  ]);
}

/** Values a sub-graph uses from outside. */
export function capturedValues(graph: Graph): Set<string> {
  const inside = new Set<string>();
  for (const { name } of [...graph.inputs, ...graph.initializers]) inside.add(name);
  for (const node of graph.nodes) for (const output of node.outputs) inside.add(output);
  const captured = new Set<string>();
  const use = (name: string) => {
    if (name !== '' && !inside.has(name)) captured.add(name);
  };
  for (const node of graph.nodes) {
    node.inputs.forEach(use);
    for (const nested of subgraphs(node)) capturedValues(nested).forEach(use);
  }
  graph.outputs.forEach(({ name }) => {
    use(name);
  });
  return captured;
}

/** The tensor of a Constant node, whichever of its attributes holds it. */
export function constantTensor(node: Node): Tensor | undefined {
  const attribute = node.attributes[0];
  if (!attribute) return undefined;
  const numbers = (values: readonly (number | bigint)[], dims: number[], integral: boolean): Tensor => ({
    name: node.outputs[0] ?? '',
    dataType: integral ? 7 : 1,
    dims,
    payload: {
      kind: 'inline',
      field: 9,
      piece: integral
        ? new Uint8Array(BigInt64Array.from(values, saturated).buffer)
        : new Uint8Array(Float32Array.from(values, Number).buffer),
    },
  });
  if (attribute.t) return attribute.t;
  if (attribute.name === 'value_int') return numbers([attribute.exact?.i ?? attribute.i ?? 0], [], true);
  if (attribute.name === 'value_ints')
    return numbers(attribute.exact?.ints ?? attribute.ints ?? [], [attribute.ints?.length ?? 0], true);
  if (attribute.name === 'value_float') return numbers([attribute.f ?? 0], [], false);
  if (attribute.name === 'value_floats') {
    return numbers(attribute.floats ?? [], [attribute.floats?.length ?? 0], false);
  }
  return undefined;
}
