/**
 * Model-local functions expanded into the graph that calls them, so that recognising and editing see one flat graph.
 * Values inside a body get the call's name in front; attribute references get the call's attributes or the
 * function's defaults. ONNX Runtime does the same when it loads a model, so results do not change.
 * Functions: onnx.ai/onnx/repo-docs/IR.html#functions.
 */
import { AttuneError } from '../errors.ts';
import { changeGraph, changeModel, changeNode, withGraphs } from './edit.ts';
import { describeNode, subgraphs } from './graph-index.ts';
import type { Attribute, FunctionDef, Graph, Model, Node, ValueInfo } from './model.ts';

/** Functions calling functions: deeper than this is a cycle. */
const DEEPEST = 32;

/** Bodies that call each other twice at every level grow without bound in a damaged file. */
const MOST_NODES = 1_000_000;

/**
 * The model without calls of its own functions; the same object when it has none. A function whose operator set
 * versions differ from the model's cannot be expanded without changing meaning: its calls, and all functions, stay.
 *
 * @throws AttuneError ONNX_MALFORMED when functions call themselves
 */
export function inlineFunctions(model: Model): Model {
  if (model.functions.length === 0) return model;
  const inliner = new Inliner(model);
  const graph = inliner.graph(model.graph);
  const opsetImports = [...model.opsetImports, ...inliner.imports];
  return changeModel(model, { graph, opsetImports, functions: inliner.kept ? model.functions : [] });
}

function key({ domain, name, overload }: { domain: string; name: string; overload: string }): string {
  return `${domain}\n${name}\n${overload}`;
}

/** Names inside a body, and what they are called outside. */
type Names = Map<string, string>;

class Inliner {
  readonly #functions: ReadonlyMap<string, FunctionDef>;
  readonly #versions: Map<string, number>;
  readonly #used = new Set<string>();
  /** Copies made of a name so far, so that looking for a free one does not start over. */
  readonly #copies = new Map<string, number>();
  readonly #functionDomains: ReadonlySet<string>;
  readonly imports: { domain: string; version: number }[] = [];
  /** Whether a call had to stay. */
  kept = false;
  #nodes = 0;

  constructor(model: Model) {
    this.#functions = new Map(model.functions.map((fn) => [key(fn), fn]));
    this.#functionDomains = new Set(model.functions.map(({ domain }) => domain));
    this.#versions = new Map(model.opsetImports.map(({ domain, version }) => [domain, version]));
    const visit = (graph: Graph) => {
      for (const { name } of [...graph.inputs, ...graph.initializers]) this.#used.add(name);
      for (const node of graph.nodes) {
        for (const output of node.outputs) this.#used.add(output);
        subgraphs(node).forEach(visit);
      }
    };
    visit(model.graph);
  }

  graph(graph: Graph): Graph {
    const nodes = graph.nodes.flatMap((node) => this.#expand(node, 0));
    return nodes.length === graph.nodes.length && nodes.every((node, i) => node === graph.nodes[i])
      ? graph
      : changeGraph(graph, { nodes });
  }

  #expand(node: Node, depth: number): Node[] {
    if (++this.#nodes > MOST_NODES || depth > DEEPEST) {
      throw new AttuneError('ONNX_MALFORMED', {
        at: `node ${describeNode(node)}`,
        found: 'functions that call themselves',
        expected: 'model-local functions without recursion',
      });
    }
    const fn = this.#functions.get(key({ ...node, name: node.opType }));
    if (fn && this.#importable(fn)) return this.#body(fn, node, depth);
    if (fn) this.kept = true;
    return [this.#withExpandedSubgraphs(node, depth)];
  }

  /** Versions must agree for every operator set the function names; sets the model lacks are added. */
  #importable(fn: FunctionDef): boolean {
    const conflicts = fn.opsetImports.some(({ domain, version }) => {
      const current = this.#versions.get(domain);
      return current !== undefined && current !== version && !this.#isFunctionDomain(domain);
    });
    if (conflicts) return false;
    for (const { domain, version } of fn.opsetImports) {
      if (this.#versions.has(domain)) continue;
      this.#versions.set(domain, version);
      this.imports.push({ domain, version });
    }
    return true;
  }

  /** A domain that holds nothing but functions of this model has no operators whose version could matter. */
  #isFunctionDomain(domain: string): boolean {
    return domain !== '' && this.#functionDomains.has(domain);
  }

  #withExpandedSubgraphs(node: Node, depth: number): Node {
    if (subgraphs(node).length === 0) return node;
    return withGraphs(node, (graph) =>
      changeGraph(graph, { nodes: graph.nodes.flatMap((inner) => this.#expand(inner, depth)) }),
    );
  }

  #body(fn: FunctionDef, call: Node, depth: number): Node[] {
    const prefix = call.name || call.outputs.find((name) => name !== '') || fn.name;
    const names: Names = new Map([['', '']]);
    fn.inputs.forEach((formal, i) => {
      names.set(formal, call.inputs[i] ?? '');
    });
    const handedOn: Node[] = [];
    const made = new Set(fn.nodes.flatMap((node) => node.outputs));
    fn.outputs.forEach((formal, i) => {
      const actual = call.outputs[i] ?? '';
      if (actual === '') return;
      // An output that is an input, or another output as well, needs a node to carry its second name.
      if (made.has(formal) && !names.has(formal)) names.set(formal, actual);
      else handedOn.push(identity(this.#name(formal, prefix, names), actual));
    });
    const attributes = new Map(call.attributes.map((attribute) => [attribute.name, attribute]));
    for (const fallback of fn.attributeDefaults) {
      if (!attributes.has(fallback.name)) attributes.set(fallback.name, fallback);
    }
    const nodes = fn.nodes.map((node) => this.#renamed(node, prefix, names, attributes));
    return [...nodes.flatMap((node) => this.#expand(node, depth + 1)), ...handedOn];
  }

  /** What a name inside the body is called outside. */
  #name(inner: string, prefix: string, names: Names): string {
    const known = names.get(inner);
    if (known !== undefined) return known;
    const wanted = `${prefix}/${inner}`;
    let name = wanted;
    let copy = this.#copies.get(wanted) ?? 1;
    while (this.#used.has(name)) name = `${wanted}_${++copy}`;
    this.#copies.set(wanted, copy);
    this.#used.add(name);
    names.set(inner, name);
    return name;
  }

  #renamed(node: Node, prefix: string, names: Names, given: ReadonlyMap<string, Attribute>): Node {
    const name = (inner: string) => this.#name(inner, prefix, names);
    const attributes = node.attributes.flatMap((attribute) => {
      if (attribute.ref === undefined || attribute.ref === '') return [attribute];
      const value = given.get(attribute.ref);
      return value ? [{ ...value, name: attribute.name, raw: undefined }] : [];
    });
    const renamed = changeNode(node, {
      name: `${prefix}/${node.name || node.outputs[0] || node.opType}`,
      inputs: node.inputs.map(name),
      outputs: node.outputs.map(name),
      attributes,
    });
    return withGraphs(renamed, (graph) => this.#renamedGraph(graph, prefix, names, given));
  }

  /** A sub-graph inside a body: its own names are renamed as well, since names are unique across scopes. */
  #renamedGraph(graph: Graph, prefix: string, outer: Names, given: ReadonlyMap<string, Attribute>): Graph {
    const names: Names = new Map(outer);
    const own = [...graph.inputs, ...graph.initializers].map(({ name }) => name);
    for (const name of [...own, ...graph.nodes.flatMap((node) => node.outputs)]) {
      if (name === '') continue;
      names.delete(name);
      this.#name(name, prefix, names);
    }
    const rename = (value: ValueInfo): ValueInfo => ({
      ...value,
      name: this.#name(value.name, prefix, names),
      raw: undefined,
    });
    return changeGraph(graph, {
      nodes: graph.nodes.map((node) => this.#renamed(node, prefix, names, given)),
      inputs: graph.inputs.map(rename),
      outputs: graph.outputs.map(rename),
      valueInfos: graph.valueInfos.map(rename),
      initializers: graph.initializers.map((tensor) => ({
        ...tensor,
        name: this.#name(tensor.name, prefix, names),
        raw: undefined,
      })),
    });
  }
}

function identity(from: string, to: string): Node {
  return {
    name: to,
    opType: 'Identity',
    domain: '',
    overload: '',
    inputs: [from],
    outputs: [to],
    attributes: [],
  };
}
