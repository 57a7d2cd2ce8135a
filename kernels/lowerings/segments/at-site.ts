/**
 * Attention over documents compiled into a site of any form. What the site computes on its own, rotation and joining of
 * keys included, moves into a branch of an If and runs where no row of a batch has two documents; else queries and keys are
 * taken as they are before rotation. Two lowerings stand beside it: one for decoding a single sequence, one for the rest.
 */
import { type Emit, emitter, opsetsFor } from '../../../onnx/emitter.ts';
import { DataType, type Graph, type GraphIndex, type Node } from '../../../onnx/index.ts';
import { pointName } from '../../../sites/points/index.ts';
import type { Site } from '../../../sites/site.ts';
import type { EditContext, SegmentsEdit } from '../../plan.ts';
import { choose, joined, type Part, renamed } from '../../site/fragment.ts';
import { rotaryTables } from '../../site/rotary-tables.ts';
import type { State } from '../lowered.ts';
import { renamedThrough, type SegmentsPart } from './around.ts';
import {
  afterDocuments,
  amongDocuments,
  layoutOfSeveral,
  type SegmentedSite,
  shiftTables,
  type Written,
} from './index.ts';
import { type Cache, cacheOf, lacks, operandsOf } from './operands.ts';
import type { SharedParts } from './shared-parts.ts';

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

/** What the parts of one site share. */
interface Frame {
  readonly name: string;
  readonly site: Site;
  readonly edit: SegmentsEdit;
  readonly others: OtherEdits;
  readonly cache: Cache | undefined;
  readonly layout: ReturnType<typeof layoutOf>;
  /** Of documents and folded documents, where later calls rank by them. */
  readonly states: readonly State[];
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
  others: OtherEdits,
): SegmentsPart {
  const frame = frameOf(context, site, edit, others);
  const { name, states, layout } = frame;
  const { opset } = context.emit;
  const [among, after] = partsOf(context, frame);
  const outputs = outputsOf(frame);
  const parts = after ? [after, among] : [among];
  return {
    outputs,
    states,
    opsets: opsetsFor(opset),
    functions: new Map(parts.flatMap((part) => [...part.functions])),
    pattern: outputs.pattern,
    reads: readsOf(parts),
    around(own, extra, apart) {
      const standIns = Object.fromEntries(extra);
      const types = { ...typesOf(frame, outputs), ...mapped(extra, () => DataType.FLOAT) };
      const gate = { opset, results: types };
      const withIdle = (part: Part): Part => ({ ...part, results: { ...part.results, ...standIns } });
      const idle = ownPart(context, frame, outputs, own, extra, apart);
      const several = choose(
        { ...gate, name: `${name}.several`, condition: layout.several },
        withIdle(among),
        idle,
      );
      const outer = after
        ? choose({ ...gate, name: `${name}.one`, condition: layout.one }, withIdle(after), several)
        : several;
      const final = new Map(
        Object.entries(outer.results).map(([key, value]) => [value, outputs[key] ?? key]),
      );
      return renamed(outer, final).nodes;
    },
  };
}

function frameOf(context: SegmentsContext, site: Site, edit: SegmentsEdit, others: OtherEdits): Frame {
  const name = `attune.${pointName('hook_pattern', site).replace('.hook_pattern', '')}.documents`;
  const cache = cacheOf(site);
  const kept = (which: string, ...inner: (number | string)[]): State => ({
    input: `${name}.past_${which}`,
    output: `${name}.present_${which}`,
    elemType: DataType.FLOAT,
    shape: ['B', site.kvHeads, ...inner, site.headDim],
    kept: true,
  });
  const remembers = edit.mode === 'pine' && cache !== undefined;
  const states = remembers ? [kept('documents', 'P'), kept('folded', edit.documents, 'P')] : [];
  return { name, site, edit, others, cache, layout: layoutOf(context, edit), states };
}

/** The lowering for prompts and batches, and the one for a single decoded sequence where there is one. */
function partsOf(context: SegmentsContext, frame: Frame): [among: Part, after: Part | undefined] {
  const tables = tablesOf(context, frame.site, frame.layout.several);
  const written = (branch: string, write: (of: SegmentedSite) => Written): Part => {
    const prelude = emitter(context.emit.opset, `${frame.name}.${branch}.`);
    const { nodes, functions, results } = write(segmented(context, frame, tables, prelude, branch));
    const known = Object.entries(results).filter((pair): pair is [string, string] => pair[1] !== undefined);
    return joined([prelude, { nodes, functions }], Object.fromEntries(known));
  };
  const tapPattern = frame.others.pattern !== undefined;
  return [
    written('among', (of) => amongDocuments(of, { tapPattern })),
    frame.states.length > 0 && !tapPattern ? written('after', afterDocuments) : undefined,
  ];
}

function segmented(
  { emit, first }: SegmentsContext,
  { name, site, edit, others, cache, layout, states }: Frame,
  tables: ReturnType<typeof tablesOf>,
  prelude: Emit,
  branch: string,
): SegmentedSite {
  return {
    name: `${name}.${branch}`,
    opset: emit.opset,
    elemType: site.elemType ?? DataType.FLOAT,
    H: site.numHeads,
    K: site.kvHeads,
    D: site.headDim,
    mode: edit.mode,
    documents: edit.documents,
    ...operandsOf(prelude, site),
    past: cache && { k: cache.k, v: cache.v },
    pastDocuments: states[0]?.input,
    pastFolded: states[1]?.input,
    scale: site.scale!,
    softcap: site.softcap,
    headSink: site.headSink,
    rotary: { ...tables, interleaved: site.rotary!.interleaved, dim: site.rotary!.dim ?? site.headDim },
    bias: others.bias,
    queryScale: others.queryScale,
    zLayout: site.z!.layout === 'BHSD' ? 'BNSD' : 'BS(ND)',
    layout,
    first,
  };
}

/** Values of the graph that the If makes, by result. */
function outputsOf({ name, site, cache, states, others }: Frame): Record<string, string> {
  const outputs: Record<string, string> = { z: site.fused ? site.anchor.outputs[0]! : site.z!.value };
  if (cache) outputs.k = cache.presentK;
  if (cache?.presentV) outputs.v = cache.presentV;
  for (const [i, key] of STATES.entries()) if (states[i]) outputs[key] = states[i].output;
  if (others.pattern !== undefined) outputs.pattern = `${name}.pattern`;
  return outputs;
}

function typesOf({ site }: Frame, outputs: Readonly<Record<string, string>>): Record<string, number> {
  const own = site.elemType ?? DataType.FLOAT;
  const typed = Object.keys(outputs).map((key) => [
    key,
    ['z', 'k', 'v'].includes(key) ? own : DataType.FLOAT,
  ]);
  return Object.fromEntries(typed);
}

/** The site as everything else leaves it, and no documents to remember. */
function ownPart(
  { emit }: SegmentsContext,
  { name, site, edit, others, states }: Frame,
  outputs: Readonly<Record<string, string>>,
  own: readonly Node[],
  extra: ReadonlyMap<string, string>,
  apart: ReadonlyMap<string, string>,
): Part {
  const idle = emitter(emit.opset, `${name}.own.`);
  const inside = new Map(
    [...Object.values(outputs), ...extra.keys()].map((value) => [
      value,
      apart.get(value) ?? `${name}.own/${value}`,
    ]),
  );
  const moved = renamedThrough(own, inside);
  const none = (...dims: number[]) => idle('Expand', [idle.float(0), idle.ints(...dims)]);
  const results: Record<string, string> = {
    ...Object.fromEntries(Object.entries(outputs).map(([key, value]) => [key, inside.get(value)!])),
    ...mapped(extra, (value) => inside.get(value)!),
  };
  if (states.length > 0) {
    results.documents = none(1, site.kvHeads, 0, site.headDim);
    results.folded = none(1, site.kvHeads, edit.documents, 0, site.headDim);
  }
  if (others.pattern !== undefined) results.pattern = others.pattern;
  return joined([{ nodes: moved, functions: new Map() }, idle], results);
}

const mapped = <T>(keys: ReadonlyMap<string, unknown>, value: (key: string) => T): Record<string, T> =>
  Object.fromEntries([...keys.keys()].map((key) => [key, value(key)]));

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

/** Values from around that the parts read. */
function readsOf(parts: readonly Part[]): Set<string> {
  const made = new Set(parts.flatMap(({ nodes }) => nodes.flatMap(({ outputs }) => outputs)));
  const used = parts.flatMap(({ nodes }) => nodes.flatMap(({ inputs }) => inputs));
  return new Set(used.filter((value) => value !== '' && !made.has(value)));
}
