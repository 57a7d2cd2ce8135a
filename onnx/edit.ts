/**
 * Building and changing models as data. Functions return new objects; whatever they do not touch keeps its raw
 * bytes and is written back unread.
 */
import { AttuneError } from '../errors.ts';
import {
  type Attribute,
  AttributeType,
  type FunctionDef,
  type Graph,
  type Model,
  type Node,
  type Tensor,
  type ValueInfo,
} from './model.ts';

/**
 * A value for an attribute: whole numbers are INT, { float } and { floats } FLOAT, texts STRING, tensors and graphs
 * what they are.
 */
export type AttributeValue =
  | number
  | string
  | readonly number[]
  | readonly string[]
  | { float: number }
  | { floats: readonly number[] }
  | Tensor
  | Graph;

/**
 * An attribute from a plain value: numbers are INT (wrap as `{ float }` / `{ floats }` for FLOAT), strings STRING.
 */
export function makeAttribute(name: string, value: AttributeValue): Attribute {
  const bytes = (text: string) => new TextEncoder().encode(text);
  if (typeof value === 'number') {
    if (!Number.isInteger(value)) {
      throw new AttuneError('ATTRIBUTE_NOT_INTEGER', {
        at: name,
        found: String(value),
        hint: 'Use { float: x }.',
      });
    }
    return { name, type: AttributeType.INT, i: value };
  }
  if (typeof value === 'string') return { name, type: AttributeType.STRING, s: bytes(value) };
  if ('float' in value) return { name, type: AttributeType.FLOAT, f: value.float };
  if ('floats' in value) return { name, type: AttributeType.FLOATS, floats: value.floats };
  if ('dataType' in value) return { name, type: AttributeType.TENSOR, t: value };
  if ('nodes' in value) return { name, type: AttributeType.GRAPH, g: value };
  if (isStrings(value)) return { name, type: AttributeType.STRINGS, strings: value.map(bytes) };
  return { name, type: AttributeType.INTS, ints: value };
}

function isStrings(value: readonly number[] | readonly string[]): value is readonly string[] {
  return typeof value[0] === 'string';
}

/** What a node may have beside its inputs and outputs. */
export interface NodeOptions {
  /** Its name; default none. */
  name?: string;
  /** Attributes by name. */
  attributes?: Record<string, AttributeValue>;
  /** Which overload of a model-local function. */
  overload?: string;
}

/** A node; `op` is 'MatMul' or 'com.microsoft.GroupQueryAttention' (the part after the last dot is the type). */
export function makeNode(
  op: string,
  inputs: readonly string[],
  outputs: readonly string[],
  { name, attributes = {}, overload = '' }: NodeOptions = {},
): Node {
  const dot = op.lastIndexOf('.');
  return {
    name: name ?? outputs[0] ?? '',
    opType: op.slice(dot + 1),
    domain: op.slice(0, Math.max(0, dot)),
    overload,
    inputs,
    outputs,
    attributes: Object.entries(attributes).map(([key, value]) => makeAttribute(key, value)),
  };
}

/** Declares a graph input or output. Symbols are allowed as dimensions. */
export function makeValueInfo(
  name: string,
  elemType: number,
  shape?: readonly (number | string)[],
): ValueInfo {
  return { name, elemType, shape };
}

/** The node with other inputs, outputs or attributes. */
export function changeNode(
  node: Node,
  change: Partial<Pick<Node, 'inputs' | 'outputs' | 'attributes' | 'name'>>,
): Node {
  return { ...node, ...change, raw: undefined };
}

/** The node with attributes added or replaced. */
export function withAttributes(node: Node, attributes: Record<string, AttributeValue>): Node {
  const kept = node.attributes.filter(({ name }) => !(name in attributes));
  const added = Object.entries(attributes).map(([name, value]) => makeAttribute(name, value));
  return changeNode(node, { attributes: [...kept, ...added] });
}

/** The node with its graph-valued attributes changed. */
export function withGraphs(node: Node, change: (graph: Graph) => Graph): Node {
  if (node.attributes.every(({ g, graphs }) => !g && !graphs)) return node;
  const attributes = node.attributes.map((attribute): Attribute => {
    if (!attribute.g && !attribute.graphs) return attribute;
    return {
      ...attribute,
      raw: undefined,
      ...(attribute.g ? { g: change(attribute.g) } : {}),
      ...(attribute.graphs ? { graphs: attribute.graphs.map(change) } : {}),
    };
  });
  return changeNode(node, { attributes });
}

/** The graph with other nodes, inputs, outputs or initializers. */
export function changeGraph(graph: Graph, change: Partial<Omit<Graph, 'raw' | 'unknown'>>): Graph {
  return { ...graph, ...change, raw: undefined };
}

/** The model with another graph, other functions or other operator sets. */
export function changeModel(model: Model, change: Partial<Omit<Model, 'raw' | 'unknown'>>): Model {
  return { ...model, ...change, raw: undefined };
}

/** A graph of nodes, inputs and outputs. */
export function makeGraph(
  name: string,
  parts: Pick<Graph, 'nodes' | 'inputs' | 'outputs'> & Partial<Pick<Graph, 'initializers' | 'valueInfos'>>,
): Graph {
  return { name, initializers: [], valueInfos: [], sparseInitializers: [], ...parts };
}

/** A model around a graph, for fixtures and stand-alone kernels. */
export function makeModel(
  graph: Graph,
  opsets: Record<string, number>,
  { irVersion = 10, functions = [] as readonly FunctionDef[] } = {},
): Model {
  return {
    irVersion,
    producerName: 'attune',
    producerVersion: '',
    domain: '',
    modelVersion: 0,
    docString: '',
    opsetImports: Object.entries(opsets).map(([domain, version]) => ({ domain, version })),
    metadata: new Map(),
    graph,
    functions,
  };
}

/** The model with an operator set imported at least at `version`; an existing lower import is raised. */
export function importOpset(model: Model, domain: string, version: number): Model {
  const current = model.opsetImports.find((opset) => opset.domain === domain);
  if (current && current.version >= version) return model;
  const others = model.opsetImports.filter((opset) => opset.domain !== domain);
  return changeModel(model, { opsetImports: [...others, { domain, version }] });
}
