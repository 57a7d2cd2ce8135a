/**
 * Edits between the two products of attention, compiled into a site: a fused operator is replaced by the expanded
 * lowering, an unfused one is edited at its pattern. On top of either:
 *
 * - statistics that reach over calls are states: inputs that the call before gave as outputs;
 * - what an edit keeps is found in the call that starts without a cache and is a state from then on;
 * - where the edits say at run time that they are inactive, the site's own operator runs instead, bit for bit.
 */
import { AttuneError } from '../../errors.ts';
import { type Emit, emitter, opsetsFor } from '../../onnx/emitter.ts';
import { changeNode, DataType, type Node } from '../../onnx/index.ts';
import { pointName } from '../../sites/points/index.ts';
import type { Site } from '../../sites/site.ts';
import type { Kept, Edit as KernelEdit, RowForm } from '../edits/edit.ts';
import type { EditContext, ExpandEdit, Plan } from '../plan.ts';
import { decoderLengths } from '../site/bias.ts';
import { choose, joined, type Part, renamed } from '../site/fragment.ts';
import { operandsOf, rowsOf } from '../site/operands.ts';
import { decodeStep } from './decode-step.ts';
import { checkEdits, knobsOf, statesOf } from './edits.ts';
import { type ExpandedOptions, expandedAttention } from './expanded.ts';
import { ownPositions } from './group-query-attention.ts';
import type { State } from './lowered.ts';
import type { LoweringContext } from './lowering.ts';
import { editedPattern } from './pattern.ts';
import { attendRow, editRow, type RowPlace, takesRow } from './row.ts';

export interface Expansion {
  /** Unique in the model; prefix of everything emitted and of the states. */
  readonly name: string;
  readonly opset: number;
  readonly edits: readonly KernelEdit[];
  /** Values of the edits' knobs, and of states that the graph can tell (EditRow.derived), by local name. */
  readonly values: Readonly<Record<string, string>>;
  /** bool, one element: false where the edits change nothing. */
  readonly active: string | undefined;
  /** The operator that runs there; default the site's. */
  readonly idle?: Node | undefined;
  /** [B, T], 0 at padding. */
  readonly attentionMask: string | undefined;
  /** Bytes of scores held at a time. Default BLOCK_BYTES. */
  readonly scoreBytes?: number | undefined;
  /** [B, S] int64, where the site's operator rotates and all layers count alike; default: counted at the site. */
  readonly positions?: string | undefined;
  /** For calls of one row that need no more than its own probabilities. */
  readonly row: (RowForm & RowPlace) | undefined;
}

/**
 * All edits of one site together.
 * @param operator the site's, with its inputs as they are after all other edits
 */
export function expansionAt(
  context: LoweringContext,
  site: Site,
  edits: readonly ExpandEdit[],
  operator: Node,
): Expansion {
  const { emit, attentionMask, target, scoreBytes } = context;
  // Where the graph's inputs tell them, all layers share them.
  const lengths = decoderLengths(emit, target.graph, site);
  const active = edits.map((edit) => edit.active?.(context, site));
  const all = edits.flatMap((edit) => edit.edits);
  const given: Record<string, string> = Object.assign({}, ...edits.map((edit) => edit.values(context, site)));
  const call = lengths && { context, site, values: given, ...lengths };
  const derived = call && all.map(({ row, options }) => row.derived?.(options, call));
  const values: Record<string, string> = Object.assign({}, given, ...(derived ?? []));
  return {
    name: `attune.${pointName('hook_pattern', site).replace('.hook_pattern', '')}`,
    opset: emit.opset,
    edits: all,
    values,
    positions: lengths && sharedPositions(context, site, operator, lengths.S),
    row: call && decodeStep.lower({ ...call, values }, all, operator),
    scoreBytes,
    active: active.includes(undefined)
      ? undefined
      : active.reduce((a, b) => emit.op('Or', [a!, b!], 'active')),
    attentionMask,
  };
}

/** Where the rows of a call stand, counted once for all layers whose operators count alike. */
function sharedPositions(
  { emit, once }: EditContext,
  site: Site,
  operator: Node,
  S: string,
): string | undefined {
  if (!site.rotatesInside) return undefined;
  const [seqlens, total, given] = [5, 6, 9].map((input) => operator.inputs[input]);
  return once(`positions of ${S} ${seqlens} ${total} ${given}`, () => {
    const counting = emitter(emit.opset, emit.fresh('positions.'));
    const positions = ownPositions(counting, operator, S);
    emit.add(...counting.nodes);
    return positions;
  });
}

export interface ExpandedPart extends Part {
  readonly states: readonly State[];
  readonly opsets: Readonly<Record<string, number>>;
}

/** S, int64 [1]. */
type Rows = (emit: Emit) => string;

/** One way to write a site with edits. Results: those of the site, states by local name, what edits find, 'pattern'. */
export type Write = (name: string, edits: readonly KernelEdit[], values: Expansion['values']) => Part;

/** What the edit finds in a first call and keeps, where the plan does not give it. */
function keptBy({ row, options }: KernelEdit, values: Expansion['values']): Kept | undefined {
  return row.kept?.(options, new Set(Object.keys(values)));
}

/** Does the plan make a graph that carries something from call to call? */
export function remembers(plan: Plan): boolean {
  const place = { values: {}, name: '' };
  const { edits = [], remembers = false } = plan;
  return (
    remembers ||
    changesCache(plan) ||
    edits.some(
      (edit) => edit.kind === 'expand' && statesOfEdits({ ...place, edits: edit.edits }, 1).length > 0,
    )
  );
}

/** Does the plan make a graph whose KV cache holds other keys than the untouched model's? */
export function changesCache({ edits = [] }: Plan): boolean {
  return edits.some(({ kind }) => kind === 'segments');
}

/** What an expansion carries from call to call. */
export function statesOfEdits(
  { edits, values, name }: Pick<Expansion, 'edits' | 'values' | 'name'>,
  H: number,
): State[] {
  return edits.flatMap((edit) => {
    const kept = keptBy(edit, values);
    if (!kept) return statesOf(edit, name, H).filter(({ input }) => values[localPast(input)] === undefined);
    const [input, output] = [`${name}.past_${kept.name}`, `${name}.present_${kept.name}`];
    return { input, output, elemType: DataType.FLOAT, shape: ['B', H, 'P'] };
  });
}

/** past_… */
function localPast(input: string): string {
  return input.slice(input.lastIndexOf('.') + 1);
}

/**
 * The nodes that take the place of a fused site's operator and make its outputs.
 *
 * @param site with the operator's inputs as they are after all other edits
 * @param tapPattern also give the edited pattern, as result 'pattern'; computed beside, so that z is as without it
 * @param kernel makes z, the cache and the states in place of attention written out
 * @throws AttuneError LOWERING_LACKS_OPERATOR, LOWERING_LACKS_EDIT, EDIT_TWICE, OPSET_TOO_OLD
 */
export function expandFused(
  site: Site,
  expansion: Expansion,
  tapPattern: boolean,
  kernel?: (states: readonly State[]) => Part,
): ExpandedPart {
  const { name, opset, edits } = expansion;
  checkEdits(expansion, edits);
  const states = statesOfEdits(expansion, site.numHeads);
  const rows: Rows = (emit) => rowsOf(emit, site);
  const outputs = outputsOf(site);
  const types = { ...outputs.types, ...stateTypes(states, name) };
  const lean = kernel ? undefined : writtenRow(site, expansion);
  const written = attend(site, expansion, { rowElsewhere: lean !== undefined });
  const main = kernel?.(states) ?? withStates(expansion, states, types, rows, written);
  const part = gated(expansion, types, main, () => {
    const own = Object.entries(outputs.values).map(([key, value]) => [value, `${name}.own.${key}`] as const);
    const rename = new Map(own);
    const operator = expansion.idle ?? site.anchor;
    const node = changeNode(operator, {
      outputs: operator.outputs.map((value) => rename.get(value) ?? value),
    });
    const unchanged = { nodes: [node], functions: new Map() };
    const results = Object.entries(outputs.values).map(([key, value]) => [key, rename.get(value)!]);
    return joined([unchanged], { ...Object.fromEntries(results), ...idleStates(expansion, states) });
  });
  const { row } = expansion;
  const every = row && lean ? oneRow(expansion, row, states, types, lean, part) : part;
  const final = renamed(every, finalNames(every, outputs.values, states, name));
  const opsets = opsetsFor(opset);
  if (!tapPattern) return { ...final, states, opsets };
  const beside = withStates(
    { ...expansion, name: `${name}.beside` },
    states,
    { pattern: DataType.FLOAT },
    rows,
    attend(site, expansion, { tapPattern: true }),
  );
  const results = { ...final.results, pattern: beside.results.pattern! };
  return { ...joined([final, beside], results), states, opsets };
}

/**
 * The edited pattern of an unfused site, as result 'pattern'.
 * @param pattern [B, H, S, T] of any float type
 * @throws AttuneError LOWERING_LACKS_EDIT, EDIT_TWICE, OPSET_TOO_OLD
 */
export function expandPattern(site: Site, expansion: Expansion, pattern: string): ExpandedPart {
  const { name, opset, edits, attentionMask } = expansion;
  checkEdits(expansion, edits);
  const states = statesOfEdits(expansion, site.numHeads);
  const types = { pattern: DataType.FLOAT, ...stateTypes(states, name) };
  const emit = emitter(opset, `${name}.`);
  const float = emit('Cast', [pattern], { to: DataType.FLOAT });
  const rows: Rows = (inner) => inner.dim(float, 2);
  const guarded = site.patternOperand !== undefined && site.patternOperand.value !== site.pattern?.value;
  const place = { opset, pattern: float, attentionMask, window: site.window, guarded };
  const write: Write = (prefix, own, values) => editedPattern({ ...place, name: prefix }, own, values);
  const part = gated(expansion, types, withStates(expansion, states, types, rows, write), () => {
    return joined([], { pattern: float, ...idleStates(expansion, states) });
  });
  const { row } = expansion;
  const lean = (values: Expansion['values']) => editRow(`${name}.row`, opset, float, row!, values);
  const every = row ? oneRow(expansion, row, states, types, lean, part) : part;
  const whole = joined([{ nodes: emit.nodes, functions: emit.functions }, every], every.results);
  const final = renamed(whole, finalNames(whole, {}, states, name));
  return { ...final, states, opsets: opsetsFor(opset) };
}

/** How a call of one row is written at a fused site; undefined where it takes what all other calls take. */
function writtenRow(site: Site, { name, opset, row }: Expansion) {
  if (!row) return undefined;
  const place = { name: `${name}.row`, opset, keys: undefined, positions: row.positions };
  const operands = operandsOf(site, place);
  if (!takesRow(operands)) return undefined;
  return (values: Expansion['values']) => attendRow(place.name, operands, row, values);
}

/** A short way for calls of one row, where the edits are active, beside what all other calls take. */
function oneRow(
  { name, opset, values, active }: Expansion,
  row: RowForm,
  states: readonly State[],
  results: Readonly<Record<string, number>>,
  write: (values: Expansion['values']) => Part,
  otherwise: Part,
): Part {
  const start = emitter(opset, `${name}.one.`);
  const condition = active === undefined ? row.applies : start('And', [row.applies, active]);
  const past = Object.fromEntries(states.map(({ input }) => [localPast(input), input]));
  const lean = write({ ...values, ...past });
  const choice = choose({ name: `${name}.rows`, opset, condition, results }, lean, otherwise);
  return joined([start, choice], choice.results);
}

/**
 * Attention written out at a fused site, for a graph that holds nothing else: results z, presentK, presentV and the states.
 * @param site whose operator has the values of that graph for inputs
 */
export function writtenOut(site: Site, expansion: Expansion): Part {
  const states = statesOfEdits(expansion, site.numHeads);
  const types = { ...outputsOf(site).types, ...stateTypes(states, expansion.name) };
  return withStates(expansion, states, types, (emit) => rowsOf(emit, site), attend(site, expansion, {}));
}

/** Values and types of what a fused operator gives. */
function outputsOf({ anchor, elemType = DataType.FLOAT }: Site) {
  const keys = ['z', 'presentK', 'presentV'];
  const given = keys.flatMap((key, i) => (anchor.outputs[i] ? [[key, anchor.outputs[i]] as const] : []));
  return {
    values: Object.fromEntries(given),
    types: Object.fromEntries(given.map(([key]) => [key, elemType])),
  };
}

export function localState({ output }: State, name: string): string {
  return output.slice(`${name}.present_`.length);
}

function stateTypes(states: readonly State[], name: string): Record<string, number> {
  return Object.fromEntries(states.map((state) => [localState(state, name), state.elemType]));
}

function finalNames(
  { results }: Part,
  outputs: Readonly<Record<string, string>>,
  states: readonly State[],
  name: string,
): Map<string, string> {
  return new Map([
    ...Object.entries(outputs).map(([key, value]) => [results[key]!, value] as const),
    ...states.map((state) => [results[localState(state, name)]!, state.output] as const),
  ]);
}

/** The expanded lowering at a fused site. */
function attend(
  site: Site,
  { opset, attentionMask, scoreBytes, positions }: Expansion,
  { tapPattern = false, rowElsewhere = false }: Pick<ExpandedOptions, 'tapPattern' | 'rowElsewhere'>,
): Write {
  return (name, edits, values) => {
    const operands = operandsOf(site, { name, opset, keys: attentionMask, positions });
    const emit = emitter(opset, `${name}.in.`);
    const states = edits.flatMap((edit) => statesOf(edit, name, site.numHeads));
    const knobs = edits.flatMap((edit) => knobsOf(edit, name, site.numHeads));
    for (const value of [...knobs.map((knob) => knob.name), ...states.map(({ input }) => input)]) {
      emit.as(value, 'Identity', [knobValue(values, value.slice(name.length + 1), site)]);
    }
    const cached = site.anchor.outputs[1] ? { k: `${name}.presentK`, v: `${name}.presentV` } : undefined;
    const attention = expandedAttention(
      {
        ...operands.site,
        name,
        present: cached,
        z: { value: `${name}.output`, layout: operands.zLayout },
      },
      { edits, tapPattern, blockBytes: scoreBytes, rowElsewhere },
    );
    const taps = new Map(attention.taps.map((one) => [one.name, one.value]));
    const results = {
      ...Object.fromEntries(taps),
      z: `${name}.output`,
      ...(cached && { presentK: cached.k, presentV: cached.v }),
      ...Object.fromEntries(states.map((state) => [localState(state, name), state.output])),
      pattern: taps.get('pattern_edited') ?? '',
    };
    return joined([operands.opening, emit, attention], results);
  };
}

function knobValue(values: Expansion['values'], knob: string, site: Site): string {
  const value = values[knob];
  if (value !== undefined) return value;
  throw new AttuneError('KNOB_MISSING', { at: site.anchor.name, found: `no value for ${knob}` });
}

/** The edits with their states fed in; what is kept comes from the first call, by a choice at run time. */
function withStates(
  { name, opset, edits, values }: Expansion,
  states: readonly State[],
  types: Readonly<Record<string, number>>,
  rows: Rows,
  write: Write,
): Part {
  const past = Object.fromEntries(states.map(({ input }) => [localPast(input), input]));
  const keeping = edits.find((edit) => keptBy(edit, values));
  if (!keeping) return write(`${name}.edited`, edits, { ...values, ...past });
  const kept = keptBy(keeping, values)!;
  const swap = (options: Kept['first']) =>
    edits.map((edit) => (edit === keeping ? { ...edit, options } : edit));
  const start = emitter(opset, `${name}.`);
  const state = past[`past_${kept.name}`]!;
  const first = start('Equal', [start.dim(state, 2), start.ints(0)]);
  const condition = start('Squeeze', [first]);

  const found = write(`${name}.first`, swap(kept.first), values);
  // Keys that came later have none of it.
  const growing = emitter(opset, `${name}.kept.`);
  const now = { [kept.name]: grown(growing, state, rows(growing)) };
  const later = write(`${name}.later`, swap(kept.later), { ...values, ...now });
  const rest = joined([growing, later], { ...later.results, ...now });
  const choice = choose({ name: `${name}.either`, opset, condition, results: types }, found, rest);
  return joined([start, choice], choice.results);
}

/** What the edits compute where they are active, else what the site computes on its own. */
function gated(
  { name, opset, active }: Expansion,
  results: Readonly<Record<string, number>>,
  edited: Part,
  own: () => Part,
): Part {
  if (active === undefined) return edited;
  return choose({ name, opset, condition: active, results }, edited, own());
}

/** States of a call whose edits are inactive stay as they are: nothing was seen of its rows. */
function idleStates({ name }: Expansion, states: readonly State[]): Record<string, string> {
  return Object.fromEntries(states.map((state) => [localState(state, name), state.input]));
}

/** A state [B, N, P] with zeros for the S new keys: [B, N, T]. */
function grown(emit: Emit, state: string, S: string): string {
  return emit('Pad', [state, emit('Concat', [emit.ints(0, 0, 0, 0, 0), S], { axis: 0 })]);
}
