/**
 * Writing ONNX nodes as expressions. An emitter collects nodes and hands back value names, so that a function body
 * reads from top to bottom like the formula it computes:
 *
 *     const mass = emit('MatMul', [pattern, groups]);
 */
import {
  type AttributeValue,
  changeNode,
  DataType,
  type FunctionDef,
  floatTensor,
  type Graph,
  makeGraph,
  makeNode,
  makeValueInfo,
  type Node,
} from './index.ts';

/** The domain of every function attune adds to a model. */
export const DOMAIN = 'attune';

/** Hidden logits. Finite, so that a row that sees nothing stays finite too: softmax gives it equal weights. */
export const HIDDEN = -1e30;

export interface Emit {
  /** Emits a node with one output and returns its name. `op` as in makeNode. */
  (op: string, inputs: readonly string[], attributes?: Record<string, AttributeValue>): string;
  /** Emits a node with the given number of outputs. */
  many(
    count: number,
    op: string,
    inputs: readonly string[],
    attributes?: Record<string, AttributeValue>,
  ): string[];
  /** Emits a node whose output has a given name. */
  as(
    output: string,
    op: string,
    inputs: readonly string[],
    attributes?: Record<string, AttributeValue>,
  ): string;
  /** Emits a copy of a node with other inputs and outputs; a number asks for as many fresh ones. */
  copy(node: Node, inputs: readonly string[], outputs: number | readonly string[]): string[];
  /** Calls one of attune's functions and returns its outputs; the definition is remembered in `functions`. */
  call(primitive: Primitive, ...inputs: string[]): string[];
  /** Constants: a 1-D int64, an int64 scalar, a float scalar. */
  ints(...values: number[]): string;
  int(value: number): string;
  float(value: number): string;
  /** A reduction; the axes moved from an attribute to an input in opset 18 (ReduceSum in 13). */
  reduce(op: 'ReduceSum' | 'ReduceMax', x: string, axis: number): string;
  /** Size of one axis, counted from 0, as an int64 of one element; Shape takes a part since opset 15. */
  dim(x: string, axis: number): string;
  /** x[axis] from `start` to `end`, both int64 of one element. */
  slice(x: string, axis: number, start: string, end: string): string;
  /** A sub-graph over the values visible here; `body` is given its inputs' names and returns its outputs. */
  graph(inputs: readonly Input[], body: (emit: Emit, inputs: readonly string[]) => readonly Output[]): Graph;
  /** Computes one of two sub-graphs, which return values of the same types; `outputs` names them. */
  either(
    condition: string,
    yes: (emit: Emit) => readonly Output[],
    no: (emit: Emit) => readonly Output[],
    outputs?: readonly string[],
  ): string[];
  readonly opset: number;
  readonly nodes: readonly Node[];
  /** Definitions of the functions called, nested ones included, by name. */
  readonly functions: ReadonlyMap<string, FunctionDef>;
}

/** An input of a sub-graph: its element type, and its shape where that is known to be fixed. */
export interface Input {
  readonly elemType: number;
  readonly shape?: readonly number[] | undefined;
}

export type Output = readonly [value: string, elemType: number];

interface Shared {
  count: number;
  readonly functions: Map<string, FunctionDef>;
}

/** @param prefix of all value names; '' inside a function, where names are local */
export function emitter(opset: number, prefix = ''): Emit {
  return scope(opset, prefix, { count: 0, functions: new Map() });
}

function scope(opset: number, prefix: string, shared: Shared): Emit {
  const nodes: Node[] = [];
  const constants = new Map<string, string>();
  const fresh = (op: string) => `${prefix}${op.slice(op.lastIndexOf('.') + 1)}_${shared.count++}`;
  const add: Emit['as'] = (output, op, inputs, attributes = {}) => {
    nodes.push(makeNode(op, inputs, [output], { name: fresh(op), attributes }));
    return output;
  };
  const emit = (op: string, inputs: readonly string[], attributes?: Record<string, AttributeValue>) =>
    add(fresh(op), op, inputs, attributes);
  const constant = (key: string, attributes: Record<string, AttributeValue>) => {
    const known = constants.get(key) ?? emit('Constant', [], attributes);
    constants.set(key, known);
    return known;
  };
  const built = {
    opset,
    nodes,
    functions: shared.functions,
    as: add,
    many: (count: number, op: string, inputs: readonly string[], attributes = {}) => {
      const outputs = Array.from({ length: count }, () => fresh(op));
      nodes.push(makeNode(op, inputs, outputs, { attributes }));
      return outputs;
    },
    copy: (node: Node, inputs: readonly string[], wanted: number | readonly string[]) => {
      const outputs =
        typeof wanted === 'number' ? Array.from({ length: wanted }, () => fresh(node.opType)) : [...wanted];
      nodes.push(changeNode(node, { name: fresh(node.opType), inputs, outputs }));
      return outputs;
    },
    call: (primitive: Primitive, ...inputs: string[]) => {
      const { definition, nested } = primitive(opset);
      for (const [name, fn] of nested) shared.functions.set(name, fn);
      shared.functions.set(definition.name, definition);
      return built.many(definition.outputs.length, `${DOMAIN}.${definition.name}`, inputs);
    },
    ints: (...values: number[]) => constant(`ints ${values}`, { value_ints: values }),
    int: (value: number) => constant(`int ${value}`, { value_int: value }),
    float: (value: number) => constant(`float ${value}`, { value: floatTensor('', [value], []) }),
    reduce: (op: 'ReduceSum' | 'ReduceMax', x: string, axis: number) =>
      opset >= 18 || op === 'ReduceSum'
        ? emit(op, [x, built.ints(axis)], { keepdims: 1 })
        : emit(op, [x], { axes: [axis], keepdims: 1 }),
    dim: (x: string, axis: number) =>
      opset >= 15
        ? emit('Shape', [x], { start: axis, end: axis + 1 })
        : emit('Gather', [emit('Shape', [x]), built.ints(axis)]),
    slice: (x: string, axis: number, start: string, end: string) =>
      emit('Slice', [x, start, end, built.ints(axis)]),
    graph: (inputs: readonly Input[], body: (emit: Emit, inputs: readonly string[]) => readonly Output[]) => {
      const inner = scope(opset, prefix, shared);
      const names = inputs.map(() => fresh('input'));
      const outputs = body(inner, names);
      return makeGraph(fresh('body'), {
        nodes: inner.nodes,
        inputs: inputs.map(({ elemType, shape }, i) => makeValueInfo(names[i]!, elemType, shape)),
        outputs: outputs.map(([name, elemType]) => makeValueInfo(name, elemType)),
      });
    },
    either: (
      condition: string,
      yes: (emit: Emit) => readonly Output[],
      no: (emit: Emit) => readonly Output[],
      wanted?: readonly string[],
    ) => {
      const then_branch = built.graph([], yes);
      const else_branch = built.graph([], no);
      const outputs = wanted ? [...wanted] : then_branch.outputs.map(() => fresh('If'));
      const attributes = { then_branch, else_branch };
      nodes.push(makeNode('If', [condition], outputs, { name: fresh('If'), attributes }));
      return outputs;
    },
  };
  return Object.assign(emit, built);
}

/** A model-local function for any operator set, with the functions its body calls. */
export type Primitive = (opset: number) => {
  readonly definition: FunctionDef;
  readonly nested: ReadonlyMap<string, FunctionDef>;
};

export interface Signature {
  readonly name: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** What it computes, with shapes; shown by model viewers. */
  readonly doc: string;
}

/**
 * Defines a model-local function. Everything its body depends on is an input, sizes and constants included, so one
 * definition serves all layers; ONNX Runtime inlines the call and folds what is constant.
 *
 * @param body emits the nodes, naming the outputs with `emit.as`
 */
export function primitive(signature: Signature, body: (emit: Emit) => void): Primitive {
  const made = new Map<number, ReturnType<Primitive>>();
  return (opset) => {
    const known = made.get(opset);
    if (known) return known;
    const emit = emitter(opset);
    body(emit);
    const { name, inputs, outputs, doc } = signature;
    const definition: FunctionDef = {
      name,
      domain: DOMAIN,
      overload: '',
      inputs,
      outputs,
      attributes: [],
      attributeDefaults: [],
      nodes: emit.nodes,
      opsetImports: Object.entries(opsetsFor(opset)).map(([domain, version]) => ({ domain, version })),
      docString: doc,
    };
    made.set(opset, { definition, nested: emit.functions });
    return made.get(opset)!;
  };
}

/** Operator sets attune's nodes use. */
export function opsetsFor(opset: number): Record<string, number> {
  return { '': opset, 'com.microsoft': 1, [DOMAIN]: 1 };
}

/** Casts to float32 and back where a model computes in float16. */
export function toFloat(emit: Emit, x: string, elemType: number): string {
  return elemType === DataType.FLOAT ? x : emit('Cast', [x], { to: DataType.FLOAT });
}
