/**
 * One graph under change: edits and taps are emitted beside its nodes, consumers of what was edited are rewired, and
 * the result is sorted. Sub-graphs have a rewrite of their own (compile.ts).
 */
import type { State } from '../../kernels/lowerings/lowered.ts';
import type { LoweringContext, LoweringName, SiteFragment } from '../../kernels/lowerings/lowering.ts';
import { aroundDocuments } from '../../kernels/lowerings/segments/around.ts';
import { SharedParts } from '../../kernels/lowerings/segments/shared-parts.ts';
import type { Carried, Edit, EditContext } from '../../kernels/plan.ts';
import { rotaryTables } from '../../kernels/site/rotary-tables.ts';
import { type Emit, graphEmitter, opsetsFor } from '../../onnx/emitter.ts';
import {
  type Attribute,
  changeGraph,
  changeNode,
  DataType,
  floatTensor,
  type Graph,
  GraphIndex,
  makeValueInfo,
  type Node,
  type ValueInfo,
} from '../../onnx/index.ts';
import { type HookPoint, POINT_AXES } from '../../sites/points/index.ts';
import type { Site } from '../../sites/site.ts';
import { sorted, withoutUnused } from './finish.ts';
import { firstToken, PointValues } from './point-values.ts';
import { Rewiring } from './rewiring.ts';
import { SiteEdits } from './site-edits.ts';

/** Inputs of the model that edits may use, by what they are. */
export type GraphInputs = Pick<EditContext, 'attentionMask' | 'tokens'>;

/** What a graph is for, and how its attention shall be computed. */
export interface ProviderTraits {
  readonly ep: string;
  /** Version of ONNX Runtime. */
  readonly onnxruntime: string | undefined;
  /** Operators the runtime has a kernel for. */
  readonly operators: readonly string[] | undefined;
  readonly lowering: LoweringName | undefined;
  /** Rows of a block under 'keep-in-blocks'. */
  readonly blockRows: number | undefined;
  /** Bytes of scores that attention written out holds at a time. */
  readonly scoreBytes: number | undefined;
}

export class GraphRewrite {
  readonly #graph: Graph;
  readonly #emit: Emit;
  readonly #rewiring = new Rewiring();
  readonly #points: PointValues;
  readonly #outputs: ValueInfo[] = [];
  readonly #context: LoweringContext;
  readonly #memo = new Map<string, string | readonly string[]>();
  readonly #carried = new Map<string, { readonly state: State; readonly carried: Carried }>();
  readonly #reports: string[] = [];
  readonly #shared = new SharedParts();
  readonly #provider: ProviderTraits;
  #index: GraphIndex | undefined;
  #sites: SiteEdits | undefined;

  /**
   * @param prefix keeps names of nested graphs apart, since a sub-graph sees the values around it
   * @param provider how attention shall be computed on it
   */
  constructor(
    graph: Graph,
    opset: number,
    { attentionMask, tokens }: GraphInputs,
    prefix: string,
    provider: ProviderTraits,
  ) {
    this.#graph = graph;
    this.#provider = provider;
    const emit = graphEmitter(graph, opset, prefix);
    this.#emit = emit;
    this.#points = new PointValues(emit, this.#rewiring, (value) => this.#original().producer(value)?.node);
    const once: EditContext['once'] = (key, make) => this.#once(key, make);
    const edits: EditContext = {
      emit,
      attentionMask,
      tokens,
      firstToken: () => once('first', () => firstToken(emit, attentionMask)),
      once,
      read: (point) => this.#points.read(point),
      carry: (name, width) => this.#carry(name, width),
      rotary: (site, wanted) => rotaryTables(emit, this.#original(), site, wanted, once),
      lastRows: (inner, site, rows) => this.#points.lastRows(inner, site, rows),
      report: (name, value, rank) => this.#report(name, value, rank),
    };
    this.#context = this.#loweringContext(edits, {
      ep: provider.ep,
      onnxruntime: provider.onnxruntime,
      operators: provider.operators,
      opset,
      graph,
    });
  }

  #loweringContext(edits: EditContext, target: LoweringContext['target']): LoweringContext {
    const original = () => this.#original();
    const unscaled = (value: string) => this.#sites?.unscaled.get(value) ?? this.#rewiring.now(value);
    return {
      ...edits,
      target,
      get index() {
        return original();
      },
      blockRows: this.#provider.blockRows,
      scoreBytes: this.#provider.scoreBytes,
      shared: this.#shared,
      edited: (site, queries) => this.#rewiring.site(site, ...(queries ? [unscaled] : [])),
      now: (value) => this.#rewiring.now(value),
      rewire: (value, replacement) => this.#rewiring.rewire(value, replacement),
      pattern: (site) =>
        (site.fused ? this.#sites?.fragments.get(site)?.results.pattern : undefined) ??
        this.#points.pattern(site),
    };
  }

  /** Lookups over the graph as it came. */
  #original(): GraphIndex {
    this.#index ??= new GraphIndex(this.#graph);
    return this.#index;
  }

  #once<T extends string | readonly string[]>(key: string, make: () => T): T {
    const existing = this.#memo.get(key);
    if (existing !== undefined) return existing as T;
    const made = make();
    this.#memo.set(key, made);
    return made;
  }

  enableSum(point: HookPoint): void {
    this.#points.enableSum(point);
  }

  /**
   * Once, before taps.
   * @param patterns sites whose pattern will be tapped
   */
  applyEdits(edits: readonly Edit[], patterns: ReadonlySet<Site> = new Set()): void {
    this.#sites = new SiteEdits(this.#context, this.#rewiring, this.#points, patterns);
    this.#sites.apply(edits, this.#provider.lowering);
  }

  #carry(name: string, width: number): Carried {
    const known = this.#carried.get(name);
    if (known) return known.carried;
    const state: State = {
      input: `${name}.past`,
      output: `${name}.present`,
      elemType: DataType.FLOAT,
      shape: ['B', width, 'P'],
    };
    const keep = (value: string) => void this.#emit.as(state.output, 'Identity', [value]);
    const carried = { past: state.input, keep };
    this.#carried.set(name, { state, carried });
    return carried;
  }

  #report(name: string, value: string, rank: number): void {
    this.#emit.as(name, 'Identity', [value]);
    this.#reports.push(name);
    this.addOutput(name, rank);
  }

  /** Outputs for those who ask. */
  get reports(): readonly string[] {
    return this.#reports;
  }

  /** What goes from call to call. */
  get states(): readonly State[] {
    const own = [...this.#carried.values()].map(({ state }) => state);
    return [...own, ...this.expanded.flatMap(({ states }) => states)];
  }

  get #fragments(): readonly SiteFragment[] {
    return [...(this.#sites?.fragments.values() ?? [])];
  }

  get #documents() {
    return [...(this.#sites?.documents.values() ?? [])];
  }

  /** What written-out sites ask of the model. */
  get expanded(): readonly Pick<SiteFragment, 'states' | 'functions' | 'opsets'>[] {
    const asking = this.#fragments.filter(({ opsets }) => Object.keys(opsets).length > 0);
    const { functions, opset } = this.#emit;
    const own = functions.size > 0 ? [{ states: [], functions, opsets: opsetsFor(opset) }] : [];
    return [...own, ...asking, ...this.#documents, ...this.#shared.parts];
  }

  /** Make the point's value an output of this graph, in float32. */
  addTap(point: HookPoint, output: string): void {
    const value = this.#editedPattern(point) ?? this.#points.read(point);
    this.#emit.as(output, 'Cast', [value], { to: DataType.FLOAT });
    this.addOutput(output, POINT_AXES[point.kind].length);
  }

  /** hook_pattern of a site that was written out. */
  #editedPattern({ kind, site, source }: HookPoint): string | undefined {
    if (kind !== 'hook_pattern' || !site) return undefined;
    const overDocuments = this.#sites?.documents.get(site)?.pattern;
    if (overDocuments !== undefined) return overDocuments;
    return source.from === 'beside' ? this.#sites?.fragments.get(site)?.results.pattern : undefined;
  }

  /** An output without elements, for a branch in which the point does not exist. */
  addEmptyTap(output: string, rank: number): void {
    const shape = this.#emit.ints(...new Array<number>(rank).fill(0));
    this.#emit.as(output, 'ConstantOfShape', [shape], { value: floatTensor('value', [0]) });
    this.addOutput(output, rank);
  }

  /** A float32 output. */
  addOutput(output: string, rank: number): void {
    const axes = Array.from({ length: rank }, (_, axis) => `${output}:${axis}`);
    this.#outputs.push(makeValueInfo(output, DataType.FLOAT, axes));
  }

  /** A nested graph changed: the node that holds it gets the new graph and its additional outputs. */
  replaceHolder(
    original: Node,
    attributes: ReadonlyMap<string, Graph>,
    outputs: readonly [inner: number, name: string][],
  ): void {
    const node = this.#rewiring.current(original);
    const changed = changeNode(node, {
      attributes: node.attributes.map((attribute): Attribute => {
        const graph = attributes.get(attribute.name);
        return graph ? { ...attribute, g: graph, raw: undefined } : attribute;
      }),
      outputs: [...node.outputs, ...outputs.map(([, name]) => name)],
    });
    this.#rewiring.change(original, changed);
    for (const [rank, name] of outputs) this.addOutput(name, rank);
  }

  get usesContribOperators(): boolean {
    return this.#emit.nodes.some((node) => node.domain === 'com.microsoft');
  }

  /** @param inputs knobs; only the main graph has them */
  finish(inputs: readonly ValueInfo[] = []): Graph {
    const { nodes, outputs, initializers } = this.#graph;
    const fragments = [...(this.#sites?.fragments ?? [])];
    const replaced = new Set(fragments.flatMap(([{ anchor }, { replaces }]) => (replaces ? [anchor] : [])));
    const kept = nodes.filter((node) => !replaced.has(node)).map((node) => this.#rewiring.written(node));
    const emitted = [...this.#emit.nodes, ...this.#shared.nodes];
    const graph = changeGraph(this.#graph, {
      nodes: [...kept, ...emitted],
      inputs: [...this.#graph.inputs, ...inputs],
      outputs: [...outputs, ...this.#outputs],
      initializers: [...initializers, ...this.#emit.initializers],
    });
    const states = new Map(
      fragments.flatMap(([, part]) => part.states.map(({ input, output }) => [output, input])),
    );
    const around = aroundDocuments(sorted(graph), this.#documents, states);
    return withoutUnused(around, new Set(emitted), new Set(this.#emit.initializers));
  }
}
