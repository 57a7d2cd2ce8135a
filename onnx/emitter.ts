/**
 * Writing ONNX nodes as expressions. An emitter collects nodes and hands back value names, so that what is emitted reads
 * from top to bottom like the formula it computes:
 *
 *     const mass = emit('MatMul', [pattern, groups]);
 *
 * One emitter serves both places nodes are written for: bodies of model-local functions, whose constants are nodes
 * (`emitter`), and graphs that exist already, whose constants are initialisers and whose names are taken (`graphEmitter`).
 */
import { AttuneError } from '../errors.ts';
import {
  type AttributeValue,
  boolTensor,
  changeNode,
  DataType,
  type FunctionDef,
  floatTensor,
  type Graph,
  int64Tensor,
  makeGraph,
  makeNode,
  makeValueInfo,
  type Node,
  type Tensor,
} from './index.ts';

/** The domain of every function attune adds to a model. */
export const DOMAIN = 'attune';

/** Everything attune adds to a graph has a name under this prefix. */
export const PREFIX = 'attune';

/** Hidden logits. Finite, so that a row that sees nothing stays finite too: softmax gives it equal weights. */
export const HIDDEN = -1e30;

type Attributes = Record<string, AttributeValue>;

/** A length known now, or that of an axis of a value at run time. */
export type Length = number | { readonly of: string; readonly axis: number };

/** An input of a sub-graph: its element type, and its shape where that is known to be fixed. */
export interface Input {
  readonly elemType: number;
  readonly shape?: readonly number[] | undefined;
}

export type Output = readonly [value: string, elemType: number];

/** Nodes with the functions they call. */
export interface Fragment {
  readonly nodes: readonly Node[];
  readonly functions: Iterable<FunctionDef>;
}

/**
 * Writes ONNX nodes as expressions: inputs and results are names of values, so that code reads like its formula.
 *
 * @example const scaled = emit.op('Mul', [z, emit.scalar(2)], 'scaled_z'); // [B, S, H, D]
 */
export interface Emit {
  /** Emits a node with one output and returns its name. `op` as in makeNode. */
  (op: string, inputs: readonly string[], attributes?: Attributes): string;
  /** The same, with an output named after what it is. */
  op(op: string, inputs: readonly string[], hint: string, attributes?: Attributes): string;
  /** Emits a node with the given number of outputs. */
  many(count: number, op: string, inputs: readonly string[], attributes?: Attributes): string[];
  /** Emits a node whose output has a given name. */
  as(output: string, op: string, inputs: readonly string[], attributes?: Attributes): string;
  /** Emits a copy of a node with other inputs and outputs; a number asks for as many fresh ones. */
  copy(node: Node, inputs: readonly string[], outputs: number | readonly string[]): string[];
  /** Calls one of attune's functions and returns its outputs; the definition is remembered in `functions`. */
  call(primitive: Primitive, ...inputs: string[]): string[];
  /** Takes nodes as they are. */
  add(...nodes: readonly Node[]): void;
  /** Takes nodes that were written elsewhere, and the functions they call. */
  insert(fragment: Fragment): void;
  /** A fresh value name. */
  fresh(hint: string): string;

  /** Constants: int64 of one dimension, an int64 scalar, a bool, a float32 scalar, and one of any float type. */
  ints(...values: number[]): string;
  /** An int64 scalar. */
  int(value: number): string;
  /** A bool scalar. */
  bool(value: boolean): string;
  /** A float32 scalar. */
  float(value: number): string;
  /** A scalar of any float type; default float32. */
  scalar(value: number, elemType?: number): string;

  /** The value in another element type (DataType). */
  cast(value: string, elemType: number): string;
  /** The value with its axes in another order. */
  transpose(value: string, perm: readonly number[]): string;
  /** Numbers may be 0 (copy) and -1 (infer) as in Reshape. */
  reshape(value: string, lengths: readonly Length[]): string;
  /** A shape vector, int64. */
  shape(lengths: readonly Length[]): string;
  /** Size of one axis, counted from 0, as an int64 of one element; Shape takes a part since opset 15. */
  dim(x: string, axis: number): string;
  /** x[axis] from `start` to `end`, both int64 of one element. */
  slice(x: string, axis: number, start: string, end: string): string;
  /** Pieces of equal length along one axis. */
  split(value: string, axis: number, count: number): string[];
  /** int64 0, 1, …, n-1 for an int64 [1] length. @throws AttuneError OPSET_TOO_OLD */
  range(length: string): string;
  /** A reduction; the axes moved from an attribute to an input in opset 18 (ReduceSum in 13). */
  reduce(op: 'ReduceSum' | 'ReduceMax', x: string, axis: number): string;

  /** A sub-graph over the values visible here; `body` is given its inputs' names and returns its outputs. */
  graph(inputs: readonly Input[], body: (emit: Emit, inputs: readonly string[]) => readonly Output[]): Graph;
  /**
   * One of two sub-graphs, of which only the chosen one is computed; they return values of the same types.
   * @param condition bool of one element @param outputs names of the results
   */
  either(
    condition: string,
    yes: (emit: Emit) => readonly Output[],
    no: (emit: Emit) => readonly Output[],
    outputs?: readonly string[],
  ): string[];

  /** Version of the operator set that is written for. */
  readonly opset: number;
  /** What was emitted so far. */
  readonly nodes: readonly Node[];
  /** Constants of a graph; in function bodies, which have no initialisers, always empty. */
  readonly initializers: readonly Tensor[];
  /** Definitions of the functions called, nested ones included, by name. */
  readonly functions: ReadonlyMap<string, FunctionDef>;
}

/** For the body of a function, or nodes that go anywhere. @param prefix of all value names; '' where names are local */
export function emitter(opset: number, prefix = ''): Emit {
  return scopeEmitter({
    opset,
    prefix,
    taken: new Set(),
    initializers: false,
    count: 0,
    functions: new Map(),
  });
}

/**
 * For nodes of a graph. Only operators and signatures are used that mean the same from opset 11 to the newest, so one
 * emission serves every model.
 */
export function graphEmitter(graph: Graph, opset: number, prefix = PREFIX): Emit {
  const taken = new Set([
    ...graph.inputs.map(({ name }) => name),
    ...graph.initializers.map(({ name }) => name),
    ...graph.nodes.flatMap((node) => node.outputs),
  ]);
  return scopeEmitter({
    opset,
    prefix: `${prefix}/`,
    taken,
    initializers: true,
    count: 0,
    functions: new Map(),
  });
}

/** What an emitter shares with those of its sub-graphs. */
interface Shared {
  readonly opset: number;
  readonly prefix: string;
  /** Names that are in use around. */
  readonly taken: ReadonlySet<string>;
  /** Constants are initialisers, else nodes. */
  readonly initializers: boolean;
  count: number;
  readonly functions: Map<string, FunctionDef>;
}

type Basics = Pick<
  Emit,
  'op' | 'many' | 'as' | 'copy' | 'call' | 'add' | 'insert' | 'fresh' | 'opset' | 'nodes' | 'functions'
>;

/**
 * @param around constants of the scope a sub-graph stands in: it reads them there, once however many sub-graphs there
 *   are, since ONNX Runtime resolves every copy while it loads
 */
function scopeEmitter(shared: Shared, around?: Constants): Emit {
  const basics = nodeWriter(shared);
  const known = new Map<string, string>();
  /** What is the same however often it is asked for, in this scope. */
  const once: Once = (key, make) => {
    const value = known.get(key) ?? make();
    known.set(key, value);
    return value;
  };
  const own = constantWriter(shared, basics, once);
  const constants: Constants = around ? { ...around, cast: own.cast, initializers: [] } : own;
  const shapes = shapeWriter(basics, constants, once);
  const emit = (op: string, inputs: readonly string[], attributes?: Attributes) =>
    basics.op(op, inputs, shortName(op), attributes);
  return Object.assign(emit, basics, constants, shapes, subgraphWriter(shared, basics, constants));
}

type Once = (key: string, make: () => string) => string;

const shortName = (op: string) => op.slice(op.lastIndexOf('.') + 1);

function nodeWriter(shared: Shared): Basics {
  const nodes: Node[] = [];
  const fresh = (hint: string): string => {
    const name = `${shared.prefix}${hint}_${shared.count++}`;
    return shared.taken.has(name) ? fresh(hint) : name;
  };
  const as: Emit['as'] = (output, op, inputs, attributes = {}) => {
    nodes.push(makeNode(op, inputs, [output], { name: fresh(shortName(op)), attributes }));
    return output;
  };
  const many: Emit['many'] = (count, op, inputs, attributes = {}) => {
    const outputs = Array.from({ length: count }, () => fresh(shortName(op)));
    nodes.push(makeNode(op, inputs, outputs, { name: fresh(shortName(op)), attributes }));
    return outputs;
  };
  return {
    opset: shared.opset,
    nodes,
    functions: shared.functions,
    fresh,
    as,
    many,
    add: (...given) => {
      nodes.push(...given);
    },
    op: (op, inputs, hint, attributes = {}) => {
      const output = fresh(hint);
      nodes.push(makeNode(op, inputs, [output], { name: output, attributes }));
      return output;
    },
    copy: (node, inputs, wanted) => {
      const outputs =
        typeof wanted === 'number' ? Array.from({ length: wanted }, () => fresh(node.opType)) : [...wanted];
      nodes.push(changeNode(node, { name: fresh(node.opType), inputs, outputs }));
      return outputs;
    },
    call: (primitive, ...inputs) => {
      const { definition, nested } = primitive(shared.opset);
      for (const [key, fn] of nested) shared.functions.set(key, fn);
      shared.functions.set(definition.name, definition);
      return many(definition.outputs.length, `${DOMAIN}.${definition.name}`, inputs);
    },
    insert: (fragment) => {
      nodes.push(...fragment.nodes);
      for (const fn of fragment.functions) shared.functions.set(fn.name, fn);
    },
  };
}

type Constants = Pick<Emit, 'ints' | 'int' | 'bool' | 'float' | 'scalar' | 'cast' | 'initializers'>;

function constantWriter({ initializers: kept }: Shared, basics: Basics, once: Once): Constants {
  const initializers: Tensor[] = [];
  const constant = (hint: string, make: (name: string) => Tensor) =>
    once(`constant ${hint}`, () => {
      if (!kept) return basics.op('Constant', [], 'Constant', { value: make('') });
      const name = basics.fresh(`const/${hint}`);
      initializers.push(make(name));
      return name;
    });
  const float = (value: number) => constant(`f_${value}`, (name) => floatTensor(name, [value], []));
  const cast = (value: string, to: number) => basics.op('Cast', [value], 'cast', { to });
  return {
    initializers,
    ints: (...values) => constant(`i_${values.join('_')}`, (name) => int64Tensor(name, values)),
    int: (value) => constant(`s_${value}`, (name) => int64Tensor(name, [value], [])),
    bool: (value) => constant(`b_${value}`, (name) => boolTensor(name, [value], [])),
    float,
    scalar: (value, elemType = DataType.FLOAT) =>
      elemType === DataType.FLOAT
        ? float(value)
        : once(`scalar ${value} ${elemType}`, () => cast(float(value), elemType)),
    cast,
  };
}

type Shapes = Pick<Emit, 'transpose' | 'reshape' | 'shape' | 'dim' | 'slice' | 'split' | 'range' | 'reduce'>;

function shapeWriter({ opset, op, fresh, add }: Basics, { ints, int }: Constants, once: Once): Shapes {
  const dim = (x: string, axis: number) =>
    once(`dim ${axis} of ${x}`, () =>
      opset >= 15
        ? op('Shape', [x], 'dim', { start: axis, end: axis + 1 })
        : op('Gather', [op('Shape', [x], 'shape'), ints(axis)], 'dim', { axis: 0 }),
    );
  const shape = (lengths: readonly Length[]) => {
    if (lengths.every((length) => typeof length === 'number')) return ints(...lengths);
    const parts = lengths.map((length) =>
      typeof length === 'number' ? ints(length) : dim(length.of, length.axis),
    );
    return op('Concat', parts, 'shape_of', { axis: 0 });
  };
  return {
    dim,
    shape,
    transpose: (value, perm) => op('Transpose', [value], 'transpose', { perm }),
    reshape: (value, lengths) => op('Reshape', [value, shape(lengths)], 'reshape'),
    slice: (x, axis, start, end) => op('Slice', [x, start, end, ints(axis)], 'slice'),
    split: (value, axis, count) => {
      const outputs = Array.from({ length: count }, () => fresh('piece'));
      // Opset 18 wants to be told what the number of outputs says.
      const attributes = { axis, ...(opset >= 18 && { num_outputs: count }) };
      add(makeNode('Split', [value], outputs, { name: outputs[0]!, attributes }));
      return outputs;
    },
    range: (length) => {
      requireOpset(opset, 11, 'Range');
      return op('Range', [int(0), op('Reshape', [length, ints()], 'scalar'), int(1)], 'range');
    },
    reduce: (kind, x, axis) =>
      opset >= 18 || kind === 'ReduceSum'
        ? op(kind, [x, ints(axis)], kind, { keepdims: 1 })
        : op(kind, [x], kind, { axes: [axis], keepdims: 1 }),
  };
}

function subgraphWriter(
  shared: Shared,
  { fresh, add }: Basics,
  constants: Constants,
): Pick<Emit, 'graph' | 'either'> {
  const graph: Emit['graph'] = (inputs, body) => {
    const inner = scopeEmitter(shared, constants);
    const names = inputs.map(() => fresh('input'));
    const outputs = body(inner, names);
    return makeGraph(fresh('body'), {
      nodes: inner.nodes,
      initializers: inner.initializers,
      inputs: inputs.map(({ elemType, shape }, i) => makeValueInfo(names[i]!, elemType, shape)),
      outputs: outputs.map(([value, elemType]) => makeValueInfo(value, elemType)),
    });
  };
  /** A branch may only give what its own nodes make. */
  const branch = (make: (emit: Emit) => readonly Output[]) =>
    graph([], (inner) => {
      const outputs = make(inner);
      const made = new Set(inner.nodes.flatMap((node) => node.outputs));
      return outputs.map(([value, elemType]): Output => {
        return [made.has(value) ? value : inner('Identity', [value]), elemType];
      });
    });
  const either: Emit['either'] = (condition, yes, no, wanted) => {
    const [then_branch, else_branch] = [branch(yes), branch(no)];
    const outputs = wanted ? [...wanted] : then_branch.outputs.map(() => fresh('either'));
    const attributes = { then_branch, else_branch };
    add(makeNode('If', [condition], outputs, { name: fresh('If'), attributes }));
    return outputs;
  };
  return { graph, either };
}

/** @throws AttuneError OPSET_TOO_OLD */
function requireOpset(found: number, expected: number, what: string): void {
  if (found >= expected) return;
  throw new AttuneError('OPSET_TOO_OLD', {
    at: what,
    found: `ai.onnx opset ${found}`,
    expected: `at least ${expected}`,
    hint: 'Convert the model with onnx.version_converter.',
  });
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
