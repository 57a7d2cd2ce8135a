/**
 * One graph under change: edits and taps are emitted beside its nodes, consumers of what was edited are rewired, and
 * the result is sorted. Sub-graphs have a rewrite of their own (compile.ts).
 */
import { AttuneError } from '../../errors.ts';
import { choiceAt } from '../../kernels/costs/at-site.ts';
import type { LoweringChoice } from '../../kernels/costs/choose.ts';
import {
  type ExpandedPart,
  type Expansion,
  expandFused,
  expandPattern,
  expansionOf,
} from '../../kernels/lowerings/at-site.ts';
import type { State } from '../../kernels/lowerings/lowered.ts';
import type { RowBlocks } from '../../kernels/lowerings/row-blocks.ts';
import {
  aroundDocuments,
  type SegmentsPart,
  SharedParts,
  segmentsContext,
  segmentsOf,
} from '../../kernels/lowerings/segments/at-site.ts';
import type { Carried, Edit, EditContext, ExpandEdit, SegmentsEdit } from '../../kernels/plan.ts';
import {
  attendInFront,
  decoderLengths,
  type FrontBias,
  sequenceLength,
  withBias,
  withInput,
} from '../../kernels/site/bias.ts';
import { fromBHST, fromBSHD, toBHST } from '../../kernels/site/layout.ts';
import { queryPlace, scaleQueries, takeOutBias } from '../../kernels/site/query-scale.ts';
import { type Derived, headShape, readPoint } from '../../kernels/site/read-point.ts';
import { type Emit, emitter, graphEmitter } from '../../onnx/emitter.ts';
import {
  type Attribute,
  capturedValues,
  changeGraph,
  changeNode,
  DataType,
  executionOrder,
  floatTensor,
  type Graph,
  GraphIndex,
  makeValueInfo,
  type Node,
  subgraphs,
  type Tensor,
  type ValueInfo,
} from '../../onnx/index.ts';
import { type HookPoint, POINT_AXES, pointName } from '../../sites/points/index.ts';
import type { Place, Site, Stages } from '../../sites/site.ts';

/** Inputs of the model that edits may use, by what they are. */
export type GraphInputs = Pick<EditContext, 'attentionMask' | 'tokens'>;

/** What a graph is for, and how its attention shall be computed. */
export interface ProviderTraits {
  readonly ep: string;
  readonly lowering: LoweringChoice | undefined;
  /** Rows of a block under 'fused-blocks'. */
  readonly blockRows: number | undefined;
  /** Bytes of scores that attention written out holds at a time. */
  readonly scoreBytes: number | undefined;
}

export class GraphRewrite {
  readonly #graph: Graph;
  readonly #emit: Emit;
  readonly #derived: Derived = new Map();
  readonly #outputs: ValueInfo[] = [];
  /** Nodes of the file that were changed, by the original. */
  readonly #changed = new Map<Node, Node>();
  /** Value to the value its consumers in the file should read instead. */
  readonly #rewired = new Map<string, string>();
  readonly #context: EditContext;
  readonly #memo = new Map<string, string | readonly string[]>();
  readonly #carried: State[] = [];
  readonly #carriedAs = new Map<string, Carried>();
  readonly #reports: string[] = [];
  #index: GraphIndex | undefined;
  /** What stands for sites that were written out, with their edited pattern where it was asked for. */
  readonly #expanded = new Map<Site, ExpandedPart>();
  /** Sites over documents; their own nodes move into a branch when the graph is finished. */
  readonly #segments = new Map<Site, SegmentsPart>();
  readonly #shared = new SharedParts();
  /** Factors on queries by site, and the queries as they were before. */
  readonly #queryFactors = new Map<Site, string[]>();
  readonly #unscaled = new Map<string, string>();

  /** Biases put in front of operators that can take them block by block. */
  readonly #front = new Map<Node, FrontBias>();
  readonly #provider: ProviderTraits;
  readonly #prefix: string;

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
    this.#prefix = prefix;
    this.#provider = provider;
    this.#emit = graphEmitter(graph, opset, prefix);
    const emit = this.#emit;
    const once: EditContext['once'] = (key, make) => this.#once(key, make);
    const first = () => once('first', () => firstToken(emit, attentionMask));
    const read = (point: HookPoint) => this.#readPoint(point);
    const carry = (name: string, width: number) => this.#carry(name, width);
    const report = (name: string, value: string, rank: number) => this.#report(name, value, rank);
    this.#context = { emit, attentionMask, tokens, firstToken: first, once, read, carry, report };
  }

  /** Lookups over the graph as it came. */
  get #original(): GraphIndex {
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

  /** Name the sum that Skip*LayerNormalization computes silently, if the point wants it. */
  enableSum({ source, name }: HookPoint): void {
    if (source.from !== 'unnamed-sum') return;
    const { node, output } = source.enable;
    const current = this.#current(node);
    if (current.outputs[output]) return;
    const outputs = [...current.outputs];
    while (outputs.length <= output) outputs.push('');
    outputs[output] = this.#emit.fresh(`sum/${name}`);
    this.#changed.set(node, changeNode(current, { outputs }));
  }

  #current(node: Node): Node {
    return this.#changed.get(node) ?? node;
  }

  /** The point with references to enabled sums brought up to date. */
  #resolve(point: HookPoint): HookPoint {
    if (point.source.from !== 'unnamed-sum') return point;
    const { enable } = point.source;
    return {
      ...point,
      source: { from: 'unnamed-sum', enable: { ...enable, node: this.#current(enable.node) } },
    };
  }

  /** @param patterns sites whose pattern will be tapped */
  applyEdits(edits: readonly Edit[], patterns: ReadonlySet<Site> = new Set()): void {
    const biases = new Map<Site, string[]>();
    const beyondPadding = new Map<Site, string[]>();
    const expansions = new Map<Site, ExpandEdit[]>();
    const expand = (edit: ExpandEdit) => {
      expansions.set(edit.site, [...(expansions.get(edit.site) ?? []), edit]);
    };
    for (const edit of edits) if (edit.kind === 'expand') expand(edit);
    for (const edit of edits) {
      if (edit.kind === 'expand') {
        // Those of one site go together, where the first of them stands.
        const own = expansions.get(edit.site);
        if (!own || edit.site.fused) continue;
        this.#editPattern(edit.site, own);
        expansions.delete(edit.site);
      } else if (edit.kind === 'bias') {
        const value = edit.build(this.#context, edit.site);
        biases.set(edit.site, [...(biases.get(edit.site) ?? []), value]);
        if (edit.hidesPadding) continue;
        beyondPadding.set(edit.site, [...(beyondPadding.get(edit.site) ?? []), value]);
      } else if (edit.kind === 'operand') {
        const node = this.#current(edit.site.anchor);
        const value = edit.build(this.#context, node.inputs[edit.input] ?? '');
        this.#changed.set(edit.site.anchor, withInput(node, edit.input, value));
      } else if (edit.kind === 'logits') {
        this.#editLogits(edit.site, (scores) => edit.build(this.#context, scores));
      } else if (edit.kind === 'query-scale') {
        this.#scaleQueries(edit.site, edit.build(this.#context, edit.site));
      } else if (edit.kind === 'write') this.#write(edit);
    }
    const sumOf = (values: readonly string[]) =>
      this.#once(`bias ${values}`, () =>
        values.reduce((total, value) => this.#emit.op('Add', [total, value], 'bias')),
      );
    const overDocuments = new Set(edits.flatMap((edit) => (edit.kind === 'segments' ? [edit.site] : [])));
    for (const [site, values] of biases) {
      const writtenOut = this.#addBias(site, sumOf(values));
      if (writtenOut && !expansions.has(site) && !overDocuments.has(site)) expand(writtenOut);
    }
    // Last, since a site is written out from what its operator reads after all other edits.
    for (const [site, own] of expansions) {
      const edited = this.#editedSite(site);
      const part = expandFused(edited, this.#expansion(site, own, edited.anchor), patterns.has(site));
      this.#expanded.set(site, part);
      this.#emit.add(...part.nodes);
    }
    for (const edit of edits) {
      if (edit.kind !== 'segments') continue;
      const added = beyondPadding.get(edit.site);
      this.#attendOverDocuments(edit, added && sumOf(added), patterns.has(edit.site));
    }
    for (const edit of edits) if (edit.kind === 'after') edit.build(this.#context);
  }

  #attendOverDocuments(edit: SegmentsEdit, bias: string | undefined, tapped: boolean): void {
    const { site } = edit;
    const edited = this.#editedSite(site);
    const pattern = tapped ? this.#untouchedPattern(site, edited) : undefined;
    const factors = this.#queryFactors.get(site);
    const queryScale = factors?.reduce((a, b) => this.#emit.op('Mul', [a, b], 'query_scale'));
    const unscaled = this.#editedSite(site, (value) => this.#unscaled.get(value) ?? this.#read(value));
    // What the site makes keeps its own names: edits of it come after.
    const operands = { ...unscaled, z: site.z, k: { ...unscaled.k, withPast: site.k.withPast } };
    const context = segmentsContext(this.#context, this.#graph, this.#original, site, this.#shared);
    this.#segments.set(site, segmentsOf(context, operands, edit, { bias, queryScale, pattern }));
  }

  /** float32 [B,H,S,T] of a site as it is without documents. */
  #untouchedPattern(site: Site, edited: Site): string {
    const known = this.#expanded.get(site)?.results.pattern;
    if (known !== undefined && site.fused) return known;
    const name = pointName('hook_pattern', site);
    const { layer, tower, scope, pattern: place } = site;
    const source = place ? ({ from: 'value', place } as const) : ({ from: 'beside' } as const);
    const point: HookPoint = { name, kind: 'hook_pattern', layer, tower, scope, site: edited, source };
    const carrier = place && this.#rewired.get(place.value);
    const value =
      carrier === undefined ? readPoint(this.#emit, point, this.#derived) : this.#renormalise(point, carrier);
    return this.#emit.cast(value, DataType.FLOAT);
  }

  #editPattern(site: Site, edits: readonly ExpandEdit[]): void {
    const place = site.pattern!;
    const e = this.#emit;
    const value = this.#read(place.value);
    const bhst = toBHST(e, { ...place, value }, site.numHeads);
    const part = expandPattern(site, this.#expansion(site, edits, site.anchor), bhst);
    this.#expanded.set(site, part);
    e.add(...part.nodes);
    const edited = part.results.pattern!;
    const float = site.elemType === undefined || site.elemType === DataType.FLOAT;
    const typed = float ? edited : e.op('CastLike', [edited, value], 'pattern');
    this.#rewire(place.value, fromBHST(e, typed, place));
  }

  #carry(name: string, width: number): Carried {
    const known = this.#carriedAs.get(name);
    if (known) return known;
    const state: State = {
      input: `${name}.past`,
      output: `${name}.present`,
      elemType: DataType.FLOAT,
      shape: ['B', width, 'P'],
    };
    this.#carried.push(state);
    const keep = (value: string) => {
      this.#emit.as(state.output, 'Identity', [value]);
    };
    const carried = { past: state.input, keep };
    this.#carriedAs.set(name, carried);
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
    return [...this.#carried, ...this.expanded.flatMap(({ states }) => states)];
  }

  #expansion(site: Site, edits: readonly ExpandEdit[], operator: Node): Expansion {
    const lengths = decoderLengths(this.#emit, this.#graph, site, this.#context.attentionMask);
    const { scoreBytes } = this.#provider;
    return { ...expansionOf(this.#context, site, edits, lengths, operator), scoreBytes };
  }

  /** What written-out sites ask of the model. */
  get expanded(): readonly Pick<ExpandedPart, 'states' | 'functions' | 'opsets'>[] {
    return [...this.#expanded.values(), ...this.#segments.values(), ...this.#shared.parts];
  }

  /** factor: float32 [1|B, 1|H]. */
  #scaleQueries(site: Site, factor: string): void {
    const carrier = queryPlace(site).value;
    let value = this.#read(carrier);
    this.#queryFactors.set(site, [...(this.#queryFactors.get(site) ?? []), factor]);
    if (!this.#unscaled.has(carrier)) this.#unscaled.set(carrier, value);
    if (site.biasInside) {
      const node = this.#current(site.anchor);
      const taken = takeOutBias(this.#emit, site, value, node.inputs[3]!);
      value = taken.query;
      this.#changed.set(site.anchor, withInput(node, 3, taken.bias));
    }
    this.#rewire(carrier, scaleQueries(this.#emit, site, value, factor));
  }

  /**
   * @param bias float32, broadcastable to [B,H,S,T]
   * @returns an edit that writes the site out where the bias does anything, if that is how it shall be computed
   */
  #addBias(site: Site, bias: string): ExpandEdit | undefined {
    const e = this.#emit;
    const elemType = site.elemType ?? DataType.FLOAT;
    const typed =
      elemType === DataType.FLOAT
        ? bias
        : this.#once(`cast ${elemType} ${bias}`, () => e.cast(bias, elemType));
    if (!site.fused) {
      this.#editLogits(site, (scores) => e.op('Add', [scores, typed], 'scores'));
      return undefined;
    }
    const rows = sequenceLength(e, this.#graph, site);
    const node = this.#current(site.anchor);
    this.#changed.set(site.anchor, withBias(this.#context, site, node, typed, rows));
    const { lowering } = choiceAt(site, 'logWeights', { ...this.#provider, opset: e.opset });
    if (lowering === 'expanded') {
      const largest = e.op('ReduceMax', [e.op('Abs', [bias], 'size')], 'largest', { keepdims: 0 });
      const active = e.op('Greater', [largest, e.scalar(0)], 'biased');
      return { kind: 'expand', site, edits: [], values: () => ({}), active: () => active };
    }
    if (lowering === 'fused-blocks') {
      this.#front.set(site.anchor, { site, own: node.inputs[10] ?? '', bias, rows });
    }
    return undefined;
  }

  /** Of an unfused site; [B,H,S,T] in its own element type. */
  #editLogits(site: Site, edit: (scores: string) => string): void {
    const e = this.#emit;
    const place = site.scores!;
    const value = this.#read(place.value);
    const bhst =
      place.layout === 'BHST'
        ? value
        : e.reshape(value, [-1, site.numHeads, { of: value, axis: 1 }, { of: value, axis: 2 }]);
    this.#rewire(place.value, fromBHST(e, edit(bhst), place));
  }

  #write(edit: Extract<Edit, { kind: 'write' }>): void {
    const e = this.#emit;
    const point = this.#resolve(edit.point);
    if (point.source.from === 'beside') {
      throw new AttuneError('POINT_READ_ONLY', {
        at: point.name,
        found: `${point.site?.form ?? 'a fused operator'}, which computes this point inside one operator`,
        hint: 'hook_z can be written in every form; logits can be changed by a bias; or use an unfused export.',
      });
    }
    const value = readPoint(e, point, this.#derived);
    const carrier = point.source.from === 'value' ? point.source.place.value : value;
    const seen = this.#read(carrier);
    const current = seen === carrier ? value : this.#renormalise(point, seen);
    const edited = edit.build(this.#context, current);
    this.#rewire(carrier, this.#denormalise(point, edited));
  }

  /** The point read again from a value that an earlier edit put in the carrier's place. */
  #renormalise(point: HookPoint, value: string): string {
    if (point.source.from !== 'value') return value;
    const source = { ...point.source, place: { ...point.source.place, value } };
    return readPoint(this.#emit, { ...point, source }, new Map());
  }

  #denormalise(point: HookPoint, value: string): string {
    if (point.source.from !== 'value') return value;
    if (POINT_AXES[point.kind] === 'BSM') {
      const { plus } = point.source;
      return plus === undefined ? value : this.#emit.op('Sub', [value, plus], 'without_bias');
    }
    const { place } = point.source;
    const e = this.#emit;
    const typed =
      point.site?.elemType !== undefined && point.site.elemType !== DataType.FLOAT
        ? e.cast(value, point.site.elemType)
        : value;
    if (POINT_AXES[point.kind] === 'BHST') return fromBHST(e, typed, place);
    return fromBSHD(e, typed, place, headShape(point.site!, point.kind));
  }

  #read(value: string): string {
    return this.#rewired.get(value) ?? value;
  }

  #rewire(value: string, replacement: string): void {
    this.#rewired.set(value, replacement);
  }

  /** Make the point's value an output of this graph, in float32. */
  addTap(original: HookPoint, output: string): void {
    const e = this.#emit;
    const value = this.#editedPattern(this.#resolve(original)) ?? this.#readPoint(original);
    e.as(output, 'Cast', [value], { to: DataType.FLOAT });
    this.addOutput(output, POINT_AXES[original.kind].length);
  }

  /** In the point's normalised axes, as edits so far left it. */
  #readPoint(original: HookPoint): string {
    const point = this.#resolve(original);
    const carrier = point.source.from === 'value' ? point.source.place.value : undefined;
    const edited = carrier === undefined ? undefined : this.#rewired.get(carrier);
    if (edited !== undefined) return this.#renormalise(point, edited);
    return readPoint(this.#emit, this.#asEdited(point), this.#derived);
  }

  /** hook_pattern of a site that was written out. */
  #editedPattern({ kind, site, source }: HookPoint): string | undefined {
    if (kind !== 'hook_pattern' || !site) return undefined;
    const overDocuments = this.#segments.get(site)?.pattern;
    if (overDocuments !== undefined) return overDocuments;
    if (source.from !== 'beside') return undefined;
    return this.#expanded.get(site)?.results.pattern;
  }

  /** What is computed beside an operator is computed from what the operator reads after all edits. */
  #asEdited(point: HookPoint): HookPoint {
    const { site, source } = point;
    if (!site || source.from !== 'beside') return point;
    return { ...point, site: this.#editedSite(site) };
  }

  #editedSite(site: Site, read = (value: string) => this.#read(value)): Site {
    const anchor = this.#current(site.anchor);
    const place = (at: Place | undefined) => at && { ...at, value: read(at.value) };
    const stages = ({ packed, ...places }: Stages): Stages => ({
      ...Object.fromEntries(Object.entries(places).map(([stage, at]) => [stage, place(at)])),
      packed: packed && read(packed),
    });
    return {
      ...site,
      anchor: changeNode(anchor, { inputs: anchor.inputs.map(read) }),
      q: stages(site.q),
      k: stages(site.k),
      v: stages(site.v),
      z: place(site.z),
      zFlat: place(site.zFlat),
    };
  }

  /** An output without elements, for a branch in which the point does not exist. */
  addEmptyTap(output: string, rank: number): void {
    const shape = this.#emit.ints(...new Array<number>(rank).fill(0));
    const empty = floatTensor('value', [0]);
    this.#emit.as(output, 'ConstantOfShape', [shape], { value: empty });
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
    const node = this.#current(original);
    const changed = changeNode(node, {
      attributes: node.attributes.map((attribute): Attribute => {
        const graph = attributes.get(attribute.name);
        return graph ? { ...attribute, g: graph, raw: undefined } : attribute;
      }),
      outputs: [...node.outputs, ...outputs.map(([, name]) => name)],
    });
    this.#changed.set(original, changed);
    for (const [rank, name] of outputs) this.addOutput(name, rank);
  }

  get usesContribOperators(): boolean {
    return this.#emit.nodes.some((node) => node.domain === 'com.microsoft');
  }

  /** @param inputs knobs; only the main graph has them */
  finish(inputs: readonly ValueInfo[] = []): Graph {
    const { nodes, outputs, initializers } = this.#graph;
    const replaced = new Set(
      [...this.#expanded.keys()].filter(({ fused }) => fused).map(({ anchor }) => anchor),
    );
    const kept = nodes.filter((node) => !replaced.has(node));
    const blockwise = emitter(this.#emit.opset, `${this.#prefix}/rows.`);
    const plans = new Map<string, RowBlocks>();
    const rewired = kept.flatMap((original) => {
      const current = this.#current(original);
      const inputs = current.inputs.map((name) => this.#read(name));
      const unchanged = inputs.every((name, i) => name === current.inputs[i]);
      const node = unchanged ? current : changeNode(current, { inputs });
      const front = this.#front.get(original);
      if (!front) return [node];
      attendInFront(blockwise, node, front, plans, this.#provider.blockRows);
      return [];
    });
    const emitted = [...this.#emit.nodes, ...blockwise.nodes, ...this.#shared.nodes];
    const graph = changeGraph(this.#graph, {
      nodes: [...rewired, ...emitted],
      inputs: [...this.#graph.inputs, ...inputs],
      outputs: [...outputs, ...this.#outputs],
      initializers: [...initializers, ...this.#emit.initializers],
    });
    const states = new Map(
      [...this.#expanded.values()].flatMap((part) => part.states.map(({ input, output }) => [output, input])),
    );
    return withoutUnused(
      aroundDocuments(sorted(graph), [...this.#segments.values()], states),
      new Set(emitted),
      new Set(this.#emit.initializers),
    );
  }
}

function sorted(graph: Graph): Graph {
  const order = executionOrder(new GraphIndex(graph));
  return changeGraph(graph, { nodes: order.map((position) => graph.nodes[position]!) });
}

/**
 * Takes out what of `nodes` and `constants` nobody reads: ONNX Runtime would run the ones and warn of the others. The
 * graph's nodes are in execution order.
 */
function withoutUnused(graph: Graph, nodes: ReadonlySet<Node>, constants: ReadonlySet<Tensor>): Graph {
  const used = new Set(graph.outputs.map(({ name }) => name));
  const kept = graph.nodes.toReversed().filter((node) => {
    if (nodes.has(node) && !node.outputs.some((name) => used.has(name))) return false;
    for (const name of node.inputs) used.add(name);
    for (const inner of subgraphs(node)) for (const name of capturedValues(inner)) used.add(name);
    return true;
  });
  const initializers = graph.initializers.filter((one) => used.has(one.name) || !constants.has(one));
  return changeGraph(graph, { nodes: kept.toReversed(), initializers });
}

/** [B] int64: ArgMax takes the first of equal maxima, and the mask is 0 or 1. */
function firstToken(e: Emit, attentionMask: string | undefined): string {
  if (attentionMask === undefined) return e.ints(0);
  return e.op('ArgMax', [attentionMask], 'first_token', { axis: 1, keepdims: 0 });
}
