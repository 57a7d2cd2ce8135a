/**
 * One graph under change: edits and taps are emitted beside its nodes, consumers of what was edited are rewired, and
 * the result is sorted. Sub-graphs have a rewrite of their own (compile.ts).
 */
import { AttuneError } from '../../errors.ts';
import {
  type Attribute,
  changeGraph,
  changeNode,
  DataType,
  executionOrder,
  floatTensor,
  type Graph,
  GraphIndex,
  makeNode,
  makeValueInfo,
  type Node,
  type ValueInfo,
} from '../onnx/index.ts';
import { type HookPoint, POINT_AXES } from '../points/index.ts';
import type { Place, Site, Stages } from '../sites/site.ts';
import { Emitter } from './emitter.ts';
import { fromBHST, fromBSHD } from './normalise.ts';
import type { Edit, EditContext } from './plan.ts';
import { queryPlace, scaleQueries, takeOutBias } from './query-scale.ts';
import { type Derived, headShape, readPoint } from './read.ts';

export class GraphRewrite {
  readonly #graph: Graph;
  readonly #emit: Emitter;
  readonly #derived: Derived = new Map();
  readonly #outputs: ValueInfo[] = [];
  /** Nodes of the file that were changed, by the original. */
  readonly #changed = new Map<Node, Node>();
  /** Value to the value its consumers in the file should read instead. */
  readonly #rewired = new Map<string, string>();
  readonly #context: EditContext;
  readonly #memo = new Map<string, string>();

  /** @param prefix keeps names of nested graphs apart, since a sub-graph sees the values around it */
  constructor(graph: Graph, opset: number, attentionMask: string | undefined, prefix: string) {
    this.#graph = graph;
    this.#emit = new Emitter(graph, opset, prefix);
    const emit = this.#emit;
    const once = (key: string, make: () => string) => this.#once(key, make);
    const first = () => once('first', () => firstToken(emit, attentionMask));
    this.#context = { emit, attentionMask, firstToken: first, once };
  }

  #once(key: string, make: () => string): string {
    const existing = this.#memo.get(key);
    if (existing !== undefined) return existing;
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
    outputs[output] = this.#emit.name(`sum/${name}`);
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

  applyEdits(edits: readonly Edit[]): void {
    const biases = new Map<Site, string[]>();
    for (const edit of edits) {
      if (edit.kind === 'bias') {
        const value = edit.build(this.#context, edit.site);
        biases.set(edit.site, [...(biases.get(edit.site) ?? []), value]);
      } else if (edit.kind === 'operand') {
        const node = this.#current(edit.site.anchor);
        const value = edit.build(this.#context, node.inputs[edit.input] ?? '');
        this.#changed.set(edit.site.anchor, withInput(node, edit.input, value));
      } else if (edit.kind === 'query-scale') {
        this.#scaleQueries(edit.site, edit.build(this.#context, edit.site));
      } else this.#write(edit);
    }
    for (const [site, values] of biases) {
      const sum = this.#once(`bias ${values}`, () =>
        values.reduce((total, value) => this.#emit.op('Add', [total, value], 'bias')),
      );
      this.#addBias(site, sum);
    }
  }

  /** factor: float32 [1|B, 1|H]. */
  #scaleQueries(site: Site, factor: string): void {
    const carrier = queryPlace(site).value;
    let value = this.#read(carrier);
    if (site.biasInside) {
      const node = this.#current(site.anchor);
      const taken = takeOutBias(this.#emit, site, value, node.inputs[3]!);
      value = taken.query;
      this.#changed.set(site.anchor, withInput(node, 3, taken.bias));
    }
    this.#rewire(carrier, scaleQueries(this.#emit, site, value, factor));
  }

  /** bias: float32, broadcastable to [B,H,S,T]. */
  #addBias(site: Site, bias: string): void {
    const e = this.#emit;
    const elemType = site.elemType ?? DataType.FLOAT;
    const typed =
      elemType === DataType.FLOAT
        ? bias
        : this.#once(`cast ${elemType} ${bias}`, () => e.cast(bias, elemType));
    if (site.form.startsWith('P6')) {
      const place = site.scores!;
      const value = this.#read(place.value);
      const bhst =
        place.layout === 'BHST'
          ? value
          : e.reshape(value, [-1, site.numHeads, { of: value, axis: 1 }, { of: value, axis: 2 }]);
      const sum = e.op('Add', [bhst, typed], 'scores');
      this.#rewire(place.value, fromBHST(e, sum, place));
      return;
    }
    const position = BIAS_INPUT[site.form]!;
    const node = this.#current(site.anchor);
    // The contrib operators broadcast over batch and heads only; rows have to be there.
    const rows = this.#sequenceLength(site);
    const expanded = this.#once(`rows ${rows} ${typed}`, () =>
      e.op(
        'Expand',
        [typed, e.op('Concat', [e.ints(1, 1), rows, e.ints(1)], 'rows', { axis: 0 })],
        'bias_rows',
      ),
    );
    const existing = node.inputs[position];
    const boolean = site.masks.some((mask) => mask.value === existing && mask.kind === 'select');
    const additive =
      existing && boolean
        ? e.op(
            'Where',
            [existing, e.scalar(0, elemType), e.scalar(Number.NEGATIVE_INFINITY, elemType)],
            'mask',
          )
        : existing;
    const total = additive ? e.op('Add', [additive, expanded], 'attention_bias') : expanded;
    this.#changed.set(site.anchor, withInput(node, position, total));
  }

  /** int64 [1]: S of a fused site. */
  #sequenceLength(site: Site): string {
    const query = site.anchor.inputs[0]!;
    const fourD =
      site.q.operand?.layout === 'BHSD' || (site.form === 'P5' && site.q.heads?.layout === 'BHSD');
    // Every layer of a tower sees the same rows, so one measurement (of token ids, if there are any) serves all.
    const ids = this.#graph.inputs.find(({ name }) => name === 'input_ids' || name === 'inputs_embeds');
    const decoderSelf = site.attention === 'self' && (site.form === 'P1a' || site.form === 'P1b');
    if (decoderSelf && ids) return this.#emit.length(ids.name, 1);
    return this.#emit.length(query, fourD ? 2 : 1);
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
    const point = this.#resolve(original);
    const carrier = point.source.from === 'value' ? point.source.place.value : undefined;
    const edited = carrier === undefined ? undefined : this.#rewired.get(carrier);
    const value =
      edited === undefined
        ? readPoint(e, this.#asEdited(point), this.#derived)
        : this.#renormalise(point, edited);
    e.nodes.push(makeNode('Cast', [value], [output], { name: output, attributes: { to: DataType.FLOAT } }));
    this.#addOutput(output, POINT_AXES[point.kind].length);
  }

  /** What is computed beside an operator is computed from what the operator reads after all edits. */
  #asEdited(point: HookPoint): HookPoint {
    const { site, source } = point;
    if (!site || source.from !== 'beside') return point;
    const anchor = this.#current(site.anchor);
    const place = (at: Place | undefined) => at && { ...at, value: this.#read(at.value) };
    const stages = ({ packed, ...places }: Stages): Stages => ({
      ...Object.fromEntries(Object.entries(places).map(([stage, at]) => [stage, place(at)])),
      packed: packed && this.#read(packed),
    });
    const edited: Site = {
      ...site,
      anchor: changeNode(anchor, { inputs: anchor.inputs.map((name) => this.#read(name)) }),
      q: stages(site.q),
      k: stages(site.k),
      v: stages(site.v),
      z: place(site.z),
      zFlat: place(site.zFlat),
    };
    return { ...point, site: edited };
  }

  /** An output without elements, for a branch in which the point does not exist. */
  addEmptyTap(output: string, rank: number): void {
    const shape = this.#emit.ints(...new Array<number>(rank).fill(0));
    const empty = floatTensor('value', [0]);
    this.#emit.nodes.push(
      makeNode('ConstantOfShape', [shape], [output], { name: output, attributes: { value: empty } }),
    );
    this.#addOutput(output, rank);
  }

  #addOutput(output: string, rank: number): void {
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
    for (const [rank, name] of outputs) this.#addOutput(name, rank);
  }

  get usesContribOperators(): boolean {
    return this.#emit.nodes.some((node) => node.domain === 'com.microsoft');
  }

  /** @param inputs knobs; only the main graph has them */
  finish(inputs: readonly ValueInfo[] = []): Graph {
    const { nodes, outputs, initializers } = this.#graph;
    const rewired = nodes.map((original) => {
      const node = this.#current(original);
      if (!node.inputs.some((name) => this.#rewired.has(name))) return node;
      return changeNode(node, { inputs: node.inputs.map((name) => this.#read(name)) });
    });
    const graph = changeGraph(this.#graph, {
      nodes: [...rewired, ...this.#emit.nodes],
      inputs: [...this.#graph.inputs, ...inputs],
      outputs: [...outputs, ...this.#outputs],
      initializers: [...initializers, ...this.#emit.initializers],
    });
    const order = executionOrder(new GraphIndex(graph));
    return changeGraph(graph, { nodes: order.map((position) => graph.nodes[position]!) });
  }
}

/** Where each fused operator takes an additive bias (ORT contrib operators; ai.onnx Attention: attn_mask). */
const BIAS_INPUT: Partial<Record<Site['form'], number>> = { P1a: 10, P1b: 10, P3: 5, P4: 5, P5: 3 };

function withInput(node: Node, position: number, value: string): Node {
  const inputs = [...node.inputs];
  while (inputs.length <= position) inputs.push('');
  inputs[position] = value;
  return changeNode(node, { inputs });
}

/** [B] int64: ArgMax takes the first of equal maxima, and the mask is 0 or 1. */
function firstToken(e: Emitter, attentionMask: string | undefined): string {
  if (attentionMask === undefined) return e.ints(0);
  return e.op('ArgMax', [attentionMask], 'first_token', { axis: 1, keepdims: 0 });
}
