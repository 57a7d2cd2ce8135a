/**
 * One graph (or sub-graph) with what its structure tells statically: execution order, shapes in symbols, contents
 * of small tensors, which values are constants. Computed in one sweep over the nodes in execution order.
 */
import { AttuneError } from '../errors.ts';
import {
  constantTensor,
  DataType,
  describeNode,
  elementCount,
  executionOrder,
  findAttribute,
  type Graph,
  GraphIndex,
  intsAttribute,
  MAX_RANK,
  type Model,
  type Node,
  opsetVersion,
  type Tensor,
  tensorValues,
  type ValueInfo,
} from '../onnx/index.ts';
import { type Content, evaluate, LONGEST_CONTENT } from './arithmetic.ts';
import { type Dim, isNumber, type Shape, symbol } from './dims.ts';
import { outputType } from './element-type.ts';
import type { ShapeOperands } from './shape-rule.ts';
import { outputShapes } from './shape-rules.ts';
import type { ScopeStep } from './site.ts';

interface Fact {
  shape?: Shape | undefined;
  type?: number | undefined;
  content?: Content | undefined;
  /** Follows from constants of the file alone. */
  constant: boolean;
}

const UNKNOWN: Fact = { constant: false };

/** What all scopes of a file share. */
export interface FileFacts {
  readonly opset: number;
  /** Elements of a constant tensor, read from the file when they were left there and it is open. */
  readonly values: (tensor: Tensor) => number[] | undefined;
  /** Number of heads by config.json, for graphs whose shapes do not tell. */
  readonly configuredHeads?: number | undefined;
}

export interface Branch {
  readonly attribute: string;
  readonly scope: Scope;
}

export class Scope {
  readonly index: GraphIndex;
  readonly path: readonly ScopeStep[];
  readonly parent: Scope | undefined;
  readonly file: FileFacts;
  /** Positions of nodes in execution order. */
  readonly order: readonly number[];
  /** Position → place in `order`. */
  readonly rank: Int32Array;
  readonly #facts = new Map<string, Fact>();
  readonly #sparse: ReadonlySet<string>;
  readonly #memos = new Map<string, Map<string, unknown>>();
  readonly #branches = new Map<number, Branch[]>();
  /** Outputs of an If whose condition is known, to the outer value its branch hands through. */
  readonly #aliases = new Map<string, string>();
  readonly #operands = this.#operandsOfVisited();
  #visited: Node | undefined;
  #visitedFacts: readonly Fact[] = [];

  constructor(graph: Graph, file: FileFacts, parent?: Scope, path: readonly ScopeStep[] = []) {
    this.index = new GraphIndex(graph, parent?.index);
    this.file = file;
    this.parent = parent;
    this.path = path;
    this.order = executionOrder(this.index);
    this.rank = new Int32Array(graph.nodes.length);
    this.order.forEach((position, place) => {
      this.rank[position] = place;
    });
    this.#sparse = new Set(graph.sparseInitializers);
    // Exporters of old list constants among the inputs; they are constants all the same.
    for (const info of graph.inputs) {
      if (!this.index.initializer(info.name)) this.#facts.set(info.name, inputFact(info));
    }
    for (const position of this.order) this.#visit(graph.nodes[position]!, position);
  }

  get graph(): Graph {
    return this.index.graph;
  }

  shape(value: string): Shape | undefined {
    return this.#fact(value).shape;
  }

  content(value: string): Content | undefined {
    return this.#fact(value).content;
  }

  /** A number when the value is a known scalar, or a tensor of equal numbers. */
  scalar(value: string): number | undefined {
    const content = this.content(value);
    const first = content?.[0];
    return isNumber(first) && content!.every((x) => x === first) ? first : undefined;
  }

  isConstant(value: string): boolean {
    return this.#fact(value).constant;
  }

  rankOf(value: string): number | undefined {
    return this.shape(value)?.length;
  }

  /** DataType where it is known. */
  elemType(value: string): number | undefined {
    return this.#fact(value).type;
  }

  /** Node that makes the value in this scope. */
  maker(value: string): Node | undefined {
    return this.index.producer(value)?.node;
  }

  /** Place in execution order of the node that makes the value; −1 for inputs, constants and outer values. */
  place(value: string): number {
    const producer = this.index.producer(value);
    return producer ? this.rank[producer.position]! : -1;
  }

  /** What was found out about values of this scope under a name: asked for often, worked out once. */
  memo<T>(name: string): Map<string, T> {
    const known = this.#memos.get(name) ?? new Map<string, unknown>();
    this.#memos.set(name, known);
    return known as Map<string, T>;
  }

  /** Sub-graphs of the node at a position, as scopes of their own. */
  branches(position: number): readonly Branch[] {
    return this.#branches.get(position) ?? [];
  }

  /** The outer value an If output always equals, when that is known. */
  alias(value: string): string | undefined {
    return this.#aliases.get(value);
  }

  #fact(value: string): Fact {
    if (value === '') return UNKNOWN;
    const known = this.#facts.get(value);
    if (known) return known;
    const tensor = this.index.initializer(value);
    if (tensor) {
      const fact = this.#constantFact(tensor);
      this.#facts.set(value, fact);
      return fact;
    }
    return this.parent ? this.parent.#fact(value) : UNKNOWN;
  }

  #constantFact(tensor: Tensor): Fact {
    const small = elementCount(tensor) <= LONGEST_CONTENT && tensor.dataType !== DataType.STRING;
    const content = small ? this.file.values(tensor) : undefined;
    return { shape: tensor.dims, type: tensor.dataType, content, constant: true };
  }

  /** @throws AttuneError ONNX_MALFORMED for an input that no node, initializer or graph input defines */
  #checkInputs(node: Node): void {
    for (const name of node.inputs) {
      if (name === '' || this.#facts.has(name) || this.#defines(name)) continue;
      throw new AttuneError('ONNX_MALFORMED', {
        at: `node ${describeNode(node)}`,
        found: `input "${name}", which nothing defines`,
        expected: 'values made by a node, an initializer or a graph input',
        hint: 'The file was damaged or edited wrongly.',
      });
    }
  }

  #defines(name: string): boolean {
    if (this.index.isDefined(name) || this.#sparse.has(name)) return true;
    return this.parent ? this.parent.#defines(name) : false;
  }

  #visit(node: Node, position: number): void {
    this.#checkInputs(node);
    checkPermutation(node);
    if (node.opType === 'Constant' && node.domain === '') {
      const tensor = constantTensor(node);
      if (tensor && node.outputs[0]) this.#facts.set(node.outputs[0], this.#constantFact(tensor));
      return;
    }
    const branches = this.#enter(node, position);
    const facts = node.inputs.map((name) => this.#fact(name));
    const constant =
      branches.length === 0 &&
      facts.length > 0 &&
      facts.every((fact, i) => fact.constant || node.inputs[i] === '');
    this.#visited = node;
    this.#visitedFacts = facts;
    const operands = this.#operands;
    const shapes = branches.length > 0 ? this.#chosen(node, branches, facts) : outputShapes(node, operands);
    node.outputs.forEach((name, output) => {
      if (name === '') return;
      const content = output === 0 && branches.length === 0 ? evaluate(node, operands) : undefined;
      const info = this.index.info(name);
      const shape = this.#checkedShape(shapes?.[output], node, output) ?? declared(info);
      const type =
        (output === 0 ? outputType(node, (input) => facts[input]?.type) : undefined) ?? facts[0]?.type;
      this.#facts.set(name, { shape, type: info?.elemType || type, content, constant });
    });
  }

  /**
   * Rules compute with what a file says; what comes out must be sizes.
   * @throws AttuneError ONNX_MALFORMED for more axes than MAX_RANK
   */
  #checkedShape(shape: Shape | undefined, node: Node, output: number): Shape | undefined {
    if (!shape) return undefined;
    if (shape.length > MAX_RANK) {
      throw new AttuneError('ONNX_MALFORMED', {
        at: `node ${describeNode(node)}`,
        found: `a result of ${shape.length} axes`,
        expected: `at most ${MAX_RANK}`,
        hint: 'The file was damaged or made to be hostile.',
      });
    }
    if (shape.every(isSize)) return shape;
    return Array.from(shape, (dim, axis) =>
      isSize(dim) ? dim : symbol(`?${node.outputs[output] ?? ''}:${axis}`),
    );
  }

  /** One view for all nodes, of the node being visited: rules take functions, and closures per node add up. */
  #operandsOfVisited(): ShapeOperands {
    const facts = (input: number) => this.#visitedFacts[input];
    return {
      content: (input) => facts(input)?.content,
      shape: (input) => facts(input)?.shape,
      ints: (input, attribute) => {
        const content = facts(input)?.content ?? intsAttribute(this.#visited!, attribute);
        return content?.every(isNumber) ? (content as readonly number[]) : undefined;
      },
      fill: () => {
        const tensor = findAttribute(this.#visited!, 'value')?.t;
        return (tensor && this.file.values(tensor)?.[0]) ?? 0;
      },
      integral: () => facts(0)?.type === DataType.INT64 || facts(0)?.type === DataType.INT32,
      unknown: (output, axis) => symbol(`?${this.#visited!.outputs[output] ?? ''}:${axis}`),
    };
  }

  #enter(node: Node, position: number): readonly Branch[] {
    const branches: Branch[] = [];
    for (const { name, g, graphs } of node.attributes) {
      for (const graph of [...(g ? [g] : []), ...(graphs ?? [])]) {
        const step = { node, position, attribute: name };
        branches.push({ attribute: name, scope: new Scope(graph, this.file, this, [...this.path, step]) });
      }
    }
    if (branches.length > 0) this.#branches.set(position, branches);
    return branches;
  }

  /** Output shapes of If; where the condition is known, the branch it takes decides, and outputs may be aliases. */
  #chosen(
    node: Node,
    branches: readonly Branch[],
    facts: readonly Fact[],
  ): (Shape | undefined)[] | undefined {
    if (node.opType !== 'If') return undefined;
    const condition = facts[0]?.content?.[0];
    const taken = isNumber(condition)
      ? branches.find(({ attribute }) => attribute === (condition ? 'then_branch' : 'else_branch'))
      : undefined;
    const possible = taken ? [taken] : branches;
    return node.outputs.map((name, i) => {
      const shapes = possible.map(({ scope }) => scope.shape(scope.graph.outputs[i]?.name ?? ''));
      const source = taken ? taken.scope.#handedThrough(taken.scope.graph.outputs[i]?.name ?? '') : undefined;
      if (source !== undefined && name !== '') this.#aliases.set(name, source);
      const [first] = shapes;
      if (!first || shapes.some((shape) => shape?.length !== first.length)) return undefined;
      return first.map(
        (dim, axis): Dim =>
          shapes.every((shape) => shape![axis] === dim) ? dim : symbol(`?${name}:${axis}`),
      );
    });
  }

  /** The outer value behind Identity nodes of this scope. */
  #handedThrough(value: string): string | undefined {
    let at = value;
    for (let node = this.maker(at); node; node = this.maker(at)) {
      if (node.opType !== 'Identity') return undefined;
      at = node.inputs[0] ?? '';
    }
    return this.index.isDefined(at) ? undefined : at;
  }
}

function isSize(dim: Dim | undefined): boolean {
  return typeof dim === 'string' || (Number.isSafeInteger(dim) && (dim as number) >= 0);
}

/** @throws AttuneError ONNX_MALFORMED for a Transpose whose perm does not order axes */
function checkPermutation(node: Node): void {
  const perm = node.opType === 'Transpose' && node.domain === '' ? intsAttribute(node, 'perm') : undefined;
  if (!perm) return;
  const seen = new Set(perm.filter((axis) => Number.isInteger(axis) && axis >= 0 && axis < perm.length));
  if (perm.length <= MAX_RANK && seen.size === perm.length) return;
  throw new AttuneError('ONNX_MALFORMED', {
    at: `node ${describeNode(node)}`,
    found: `perm [${perm.slice(0, 8).join(', ')}${perm.length > 8 ? ', …' : ''}]`,
    expected: `each axis from 0 on, once, at most ${MAX_RANK}`,
    hint: 'The file was damaged.',
  });
}

/** A single integer given at run time is most often a dimension: it stands for itself. */
function inputFact(info: ValueInfo): Fact {
  const shape = declared(info);
  const single = info.elemType === DataType.INT64 && shape?.every((dim) => dim === 1);
  const content = single ? [symbol(`?${info.name}`)] : undefined;
  return { shape, type: info.elemType || undefined, content, constant: false };
}

/** A declaration is a hint: one of absurd rank is none, a negative size is unknown. */
function declared(info: ValueInfo | undefined): Shape | undefined {
  if (!info?.shape || info.shape.length > MAX_RANK) return undefined;
  return info.shape.map((dim, axis) =>
    typeof dim === 'number' && isSize(dim)
      ? dim
      : symbol(typeof dim === 'string' ? dim : `?${info.name}:${axis}`),
  );
}

/** The main graph of a model as a scope, sub-graphs included. */
export function mainScope(model: Model, facts: Partial<FileFacts> = {}): Scope {
  return new Scope(model.graph, {
    opset: opsetVersion(model) ?? 1,
    values: (tensor) => tensorValues(tensor),
    ...facts,
  });
}

/** The scope and all below it, in order of execution. */
export function* scopes(scope: Scope): Generator<Scope> {
  yield scope;
  for (const position of scope.order) {
    for (const branch of scope.branches(position)) yield* scopes(branch.scope);
  }
}
