/**
 * Attention over documents compiled into a site of any form. What the site computes on its own, rotation and joining of
 * keys included, moves into a branch of an If and runs where no row of a batch has two documents; else queries and keys are
 * taken as they are before rotation. Two lowerings stand beside it: one for decoding a single sequence, one for the rest.
 */
import { AttuneError } from '../../../errors.ts';
import { type Emit, emitter, opsetsFor } from '../../../onnx/emitter.ts';
import { exclusiveRegion } from '../../../onnx/exclusive-region.ts';
import {
  changeGraph,
  changeNode,
  DataType,
  executionOrder,
  type FunctionDef,
  type Graph,
  GraphIndex,
  type Node,
} from '../../../onnx/index.ts';
import { pointName } from '../../../sites/points/index.ts';
import type { Place, Site } from '../../../sites/site.ts';
import type { EditContext, SegmentsEdit } from '../../plan.ts';
import { choose, joined, type Part, renamed } from '../../site/fragment.ts';
import { rotaryTables } from '../../site/rotary-tables.ts';
import type { State } from '../lowered.ts';
import {
  afterDocuments,
  amongDocuments,
  layoutOfSeveral,
  type SegmentedSite,
  type SegmentValue,
  shiftTables,
  type Written,
} from './index.ts';

export interface SegmentsPart {
  /** What the If makes: value of the graph by result. */
  readonly outputs: Readonly<Record<string, string>>;
  readonly states: readonly State[];
  readonly opsets: Readonly<Record<string, number>>;
  readonly functions: ReadonlyMap<string, FunctionDef>;
  /** Name the edited pattern will have, where it was asked for. */
  readonly pattern: string | undefined;
  /** Values that the branches read. */
  readonly reads: ReadonlySet<string>;
  /**
   * The If, around the site's own nodes. `extra`: outputs of these beside the site's, by what stands in for them;
   * `apart`: results that are not made by them, by where they are.
   */
  around(
    own: readonly Node[],
    extra: ReadonlyMap<string, string>,
    apart: ReadonlyMap<string, string>,
  ): readonly Node[];
}

export interface SegmentsContext extends Pick<EditContext, 'emit' | 'once'> {
  /** Of the graph before any edit. */
  readonly index: GraphIndex;
  /** [B] int64: column of the first real token. */
  readonly first: string;
  /** S and T of the decoder, int64 [1]. */
  readonly rows: string;
  readonly columns: string;
  readonly shared: SharedParts;
}

export interface OtherEdits {
  readonly bias: string | undefined;
  readonly queryScale: string | undefined;
  readonly pattern: string | undefined;
}

/** Nodes that are the same for all layers, and the functions they call. */
export class SharedParts {
  readonly nodes: Node[] = [];
  readonly #functions = new Map<string, FunctionDef>();
  readonly #opsets = new Map<string, number>();
  readonly #memo = new Map<string, object>();

  get parts() {
    const states: State[] = [];
    return [{ states, functions: this.#functions, opsets: Object.fromEntries(this.#opsets) }];
  }

  once<T extends object>(key: string, opset: number, write: (emit: Emit) => T): T {
    const known = this.#memo.get(key);
    if (known) return known as T;
    const emit = emitter(opset, `attune.shared.${this.#memo.size}.`);
    const made = write(emit);
    this.nodes.push(...emit.nodes);
    for (const [name, fn] of emit.functions) this.#functions.set(name, fn);
    for (const [domain, version] of Object.entries(opsetsFor(opset))) this.#opsets.set(domain, version);
    this.#memo.set(key, made);
    return made;
  }
}

/** @param site any site over documents: all see the same rows and columns */
export function segmentsContext(
  { emit, once, firstToken }: EditContext,
  graph: Graph,
  index: GraphIndex,
  site: Site,
  shared: SharedParts,
): SegmentsContext {
  const ids = graph.inputs.find(({ name }) => name === 'input_ids' || name === 'inputs_embeds');
  if (!ids) throw lacks(site, 'neither input_ids nor inputs_embeds');
  const rows = emit.dim(ids.name, 1);
  const columns = once('documents: columns', () =>
    site.past ? emit.op('Add', [emit.dim(site.past.k, 2), rows], 'columns') : rows,
  );
  const first = once('documents: first', () =>
    emit.op('Expand', [firstToken(), emit.dim(ids.name, 0)], 'first_tokens'),
  );
  return { emit, once, index, first, rows, columns, shared };
}

/**
 * @param site with its operands as they are after all other edits
 * @param others what other edits add to its logits, multiply its queries by (float32), and make of its pattern, where the
 *   pattern is asked for
 * @throws AttuneError LOWERING_LACKS_OPERATOR, INTERVENTION_REFUSED
 */
export function segmentsOf(
  context: SegmentsContext,
  site: Site,
  edit: SegmentsEdit,
  { bias, queryScale, pattern }: OtherEdits,
): SegmentsPart {
  const name = `attune.${pointName('hook_pattern', site).replace('.hook_pattern', '')}.documents`;
  const { emit } = context;
  const shared = layoutOf(context, edit);
  const cache = cacheOf(site);
  const tables = tablesOf(context, site, shared.several);
  const remembers = edit.mode === 'pine' && cache !== undefined;
  const { kvHeads: K, headDim: D } = site;
  const kept = (which: string, ...inner: (number | string)[]): State => ({
    input: `${name}.past_${which}`,
    output: `${name}.present_${which}`,
    elemType: DataType.FLOAT,
    shape: ['B', K, ...inner, D],
    kept: true,
  });
  const states = remembers ? [kept('documents', 'P'), kept('folded', edit.documents, 'P')] : [];
  const opened = (branch: string) => {
    const inner = emitter(emit.opset, `${name}.${branch}.`);
    const operands = operandsOf(inner, site);
    const segmented: SegmentedSite = {
      name: `${name}.${branch}`,
      opset: emit.opset,
      elemType: site.elemType ?? DataType.FLOAT,
      H: site.numHeads,
      K: site.kvHeads,
      D: site.headDim,
      mode: edit.mode,
      documents: edit.documents,
      ...operands,
      past: cache && { k: cache.k, v: cache.v },
      pastDocuments: states[0]?.input,
      pastFolded: states[1]?.input,
      scale: site.scale!,
      softcap: site.softcap,
      headSink: site.headSink,
      rotary: {
        ...tables,
        interleaved: site.rotary!.interleaved,
        dim: site.rotary!.dim ?? site.headDim,
      },
      bias,
      queryScale,
      zLayout: site.z!.layout === 'BHSD' ? 'BNSD' : 'BS(ND)',
      layout: shared,
      first: context.first,
    };
    return { prelude: inner, segmented };
  };
  const written = (branch: string, write: (of: SegmentedSite) => Written): Part => {
    const { prelude, segmented } = opened(branch);
    const { nodes, functions, results } = write(segmented);
    const known = Object.entries(results).filter((pair): pair is [string, string] => pair[1] !== undefined);
    return joined([prelude, { nodes, functions }], Object.fromEntries(known));
  };
  const among = written('among', (of) => amongDocuments(of, { tapPattern: pattern !== undefined }));
  const after = remembers && pattern === undefined ? written('after', afterDocuments) : undefined;
  const elemType = site.elemType ?? DataType.FLOAT;
  const z = site.fused ? site.anchor.outputs[0]! : site.z!.value;
  const outputs: Record<string, string> = { z };
  if (cache) outputs.k = cache.presentK;
  if (cache?.presentV) outputs.v = cache.presentV;
  for (const [i, key] of STATES.entries()) if (states[i]) outputs[key] = states[i].output;
  if (pattern !== undefined) outputs.pattern = `${name}.pattern`;
  const types = Object.fromEntries(
    Object.keys(outputs).map((key) => [
      key,
      key === 'z' || key === 'k' || key === 'v' ? elemType : DataType.FLOAT,
    ]),
  );
  const parts = after ? [after, among] : [among];
  return {
    outputs,
    states,
    opsets: opsetsFor(emit.opset),
    functions: new Map(parts.flatMap((part) => [...part.functions])),
    pattern: outputs.pattern,
    reads: readsOf(parts),
    around(own, extra, apart) {
      const idle = emitter(emit.opset, `${name}.own.`);
      const inside = new Map<string, string>(
        [...Object.values(outputs), ...extra.keys()].map((value) => [
          value,
          apart.get(value) ?? `${name}.own/${value}`,
        ]),
      );
      const moved = renamedThrough(own, inside);
      const ownResults = Object.fromEntries(
        Object.entries(outputs).map(([key, value]) => [key, inside.get(value)!]),
      );
      const none = (...dims: number[]) => idle('Expand', [idle.float(0), idle.ints(...dims)]);
      if (remembers) {
        ownResults.documents = none(1, K, 0, D);
        ownResults.folded = none(1, K, edit.documents, 0, D);
      }
      if (pattern !== undefined) ownResults.pattern = pattern;
      const all: Record<string, number> = { ...types };
      const standIns: Record<string, string> = {};
      for (const [value, standIn] of extra) {
        all[value] = DataType.FLOAT;
        ownResults[value] = inside.get(value)!;
        standIns[value] = standIn;
      }
      const ownPart = joined([{ nodes: moved, functions: new Map() }, idle], ownResults);
      const withIdle = (part: Part): Part => ({ ...part, results: { ...part.results, ...standIns } });
      const gate = { opset: emit.opset, results: all };
      const inner = choose(
        { ...gate, name: `${name}.several`, condition: shared.several },
        withIdle(among),
        ownPart,
      );
      const outer = after
        ? choose({ ...gate, name: `${name}.one`, condition: shared.one }, withIdle(after), inner)
        : inner;
      const final = new Map(
        Object.entries(outer.results).map(([key, value]) => [value, outputs[key] ?? key]),
      );
      return renamed(outer, final).nodes;
    },
  };
}

/**
 * The graph with the own nodes of every site moved into a branch.
 * @param graph in execution order, with nodes that make what the parts make as well
 * @param states inputs that stand in for outputs of a site's other edits while documents are attended to
 */
export function aroundDocuments(
  graph: Graph,
  parts: readonly SegmentsPart[],
  states: ReadonlyMap<string, string>,
): Graph {
  if (parts.length === 0) return graph;
  const index = new GraphIndex(graph);
  const elsewhere = new Set(parts.flatMap(({ reads }) => [...reads]));
  const moved = new Set<number>();
  const added: Node[] = [];
  /** Results that stay outside, since nodes that stay use them: by the names they get there. */
  const apart = new Map<string, string>();
  /** Of these the keys and values. Whoever reads head outputs reads those of the If: what is read changes nothing. */
  const caches = new Map<string, string>();
  for (const part of parts) {
    const { region, stays } = regionOf(index, part, elsewhere);
    const own = region.map((position) => graph.nodes[position]!);
    const results = new Set(Object.values(part.outputs));
    const leaving = own.flatMap(({ outputs }) =>
      outputs.filter((name) => {
        return !results.has(name) && (index.isOutput(name) || leaves(index, name, region));
      }),
    );
    for (const value of stays) {
      apart.set(value, `attune.own/${value}`);
      if (value !== part.outputs.z) caches.set(value, `attune.own/${value}`);
    }
    const extra = new Map(leaving.map((name) => [name, standIn(name, states)]));
    added.push(...part.around(own, extra, apart));
    for (const position of region) moved.add(position);
  }
  const gone = new Set([...moved].flatMap((position) => graph.nodes[position]!.outputs));
  const staying = graph.nodes.filter((_, position) => !moved.has(position));
  const kept = staying.map((node) =>
    changeNode(renamedThrough([node], caches)[0]!, {
      outputs: node.outputs.map((value) => apart.get(value) ?? value),
    }),
  );
  const nodes = [...kept, ...added];
  const valueInfos = graph.valueInfos.filter(({ name }) => !gone.has(name));
  const whole = changeGraph(graph, { nodes, valueInfos });
  const order = executionOrder(new GraphIndex(whole));
  return changeGraph(whole, { nodes: order.map((position) => nodes[position]!) });
}

/**
 * Positions of a site's own nodes. A cache that a node outside reads as well (a tap, or another edit of the pattern) would
 * make the If wait for itself: it stays outside, with what makes it and all that its maker makes.
 */
function regionOf(index: GraphIndex, { outputs }: SegmentsPart, elsewhere: ReadonlySet<string>) {
  const results = Object.values(outputs);
  const region = exclusiveRegion(index, results, elsewhere);
  const makers = [outputs.k, outputs.v].flatMap((value) => {
    return value !== undefined && leaves(index, value, region) ? [index.producer(value)?.position] : [];
  });
  if (makers.length === 0) return { region, stays: [] };
  const stays = results.filter((value) => makers.includes(index.producer(value)?.position));
  const others = results.filter((value) => !stays.includes(value));
  return { region: exclusiveRegion(index, others, new Set([...elsewhere, ...stays])), stays };
}

/** Whether a node outside of the region uses the value. */
function leaves(index: GraphIndex, value: string, region: readonly number[]): boolean {
  return index.uses(value).some(({ position }) => !region.includes(position));
}

function standIn(name: string, states: ReadonlyMap<string, string>): string {
  const input = states.get(name);
  if (input !== undefined) return input;
  throw new AttuneError('LOWERING_LACKS_OPERATOR', {
    at: name,
    found: 'an output of an attention operator that attention over documents does not make',
    expected: 'head outputs, keys and values',
  });
}

/** Results that are kept for later calls. */
const STATES = ['documents', 'folded'] as const;

/** Layout of the documents and the conditions, once per graph. */
function layoutOf(context: SegmentsContext, { mode, documents, bounds, ties }: SegmentsEdit) {
  const { rows: S, columns: T, first, shared } = context;
  return shared.once(`documents ${mode} ${documents}`, context.emit.opset, (emit) =>
    layoutOfSeveral(emit, mode, { bounds, ties, first, S, T }),
  );
}

function tablesOf({ emit, index, columns, once, shared }: SegmentsContext, site: Site, needed: string) {
  const { cos, sin } = rotaryTables(emit, index, site, { count: columns, needed }, once);
  return shared.once(`tables ${cos} ${sin}`, emit.opset, (e) => {
    // What is made only where it is needed is not divided elsewhere.
    const shifts = site.rotary!.tables ? shiftTables(e, cos, sin) : whereNeeded(e, needed, cos, sin);
    return { cos, sin, ...shifts };
  });
}

function whereNeeded(emit: Emit, needed: string, cos: string, sin: string): ReturnType<typeof shiftTables> {
  const [shiftCos, shiftSin] = emit.either(
    needed,
    (inner) => {
      const tables = shiftTables(inner, cos, sin);
      return [tables.shiftCos, tables.shiftSin].map((value) => [value, DataType.FLOAT] as const);
    },
    () => [1, 2].map(() => [cos, DataType.FLOAT] as const),
  );
  return { shiftCos: shiftCos!, shiftSin: shiftSin! };
}

interface Cache {
  /** Keys (and values, where the operator joins them) of earlier calls. */
  readonly k: string;
  readonly v: string | undefined;
  readonly presentK: string;
  readonly presentV: string | undefined;
}

/** undefined for a graph without a cache. */
function cacheOf(site: Site): Cache | undefined {
  const { past, k, anchor } = site;
  if (!past) return undefined;
  if (past.layout !== 'BHPD') throw lacks(site, `a cache laid out as ${past.layout}`);
  if (k.withPast) {
    if (k.withPast.layout !== 'BHSD') throw lacks(site, `keys laid out as ${k.withPast.layout}`);
    return { k: past.k, v: undefined, presentK: k.withPast.value, presentV: undefined };
  }
  const [, presentK, presentV] = anchor.outputs;
  if (!presentK || !presentV) throw lacks(site, 'a cache it does not give back');
  return { k: past.k, v: past.v, presentK, presentV };
}

/** q, k and v of this call, before rotation. */
function operandsOf(emit: Emit, site: Site): Pick<SegmentedSite, 'q' | 'k' | 'v'> {
  const { anchor, numHeads: H, kvHeads: K, headDim: D } = site;
  if (site.packedQkv) {
    const [q, k, v] = emit.many(3, 'Split', [anchor.inputs[0]!, emit.ints(H * D, K * D, K * D)], { axis: 2 });
    const flat = (value: string): SegmentValue => ({ value, layout: 'BS(ND)' });
    return { q: flat(q!), k: flat(k!), v: flat(v!) };
  }
  const inside = site.rotatesInside;
  const of = (role: 'q' | 'k') => segmentValue(site, inside ? site[role].operand : site[role].unrotated);
  const joinsCache = site.past && !site.k.withPast;
  const v = joinsCache ? site.v.operand : (site.v.withPast ?? site.v.final);
  return { q: of('q'), k: of('k'), v: segmentValue(site, v) };
}

const LAYOUTS: Partial<Record<Place['layout'], SegmentValue['layout']>> = {
  'BS(HD)': 'BS(ND)',
  BSHD: 'BSND',
  BHSD: 'BNSD',
};

function segmentValue(site: Site, place: Place | undefined): SegmentValue {
  const layout = place && LAYOUTS[place.layout];
  if (place && layout) return { value: place.value, layout };
  throw lacks(site, place ? `queries or keys laid out as ${place.layout}` : 'no value before its rotation');
}

function lacks(site: Site, found: string): AttuneError {
  return new AttuneError('LOWERING_LACKS_OPERATOR', {
    at: site.anchor.name || site.anchor.opType,
    found,
    expected: 'queries, keys and values by head, and a cache [B, K, P, D]',
    hint: 'An export with GroupQueryAttention, or an unfused one, will do.',
  });
}

/** Values from around that the parts read. */
function readsOf(parts: readonly Part[]): Set<string> {
  const made = new Set(parts.flatMap(({ nodes }) => nodes.flatMap(({ outputs }) => outputs)));
  const used = parts.flatMap(({ nodes }) => nodes.flatMap(({ inputs }) => inputs));
  return new Set(used.filter((value) => value !== '' && !made.has(value)));
}

function renamedThrough(nodes: readonly Node[], names: ReadonlyMap<string, string>): Node[] {
  return [...renamed({ nodes, functions: new Map(), results: {} }, names).nodes];
}
