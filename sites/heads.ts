/**
 * The way of q, k or v from its projection to where attention takes it, followed backwards with the meaning of
 * every axis: repetition of kv heads, cache, scale, rotary, QK-norm, head split, bias, projection.
 */
import { intAttribute, intsAttribute, type Node } from '../onnx/index.ts';
import { type Axes, beforeReshape, beforeTranspose, layoutOf } from './axes.ts';
import { isNumber } from './dims.ts';
import { normOf } from './norm.ts';
import { isOp, isView, passedBy } from './paths.ts';
import { type Projection, projectionAt, withoutBias } from './projection.ts';
import { rotaryOf } from './rotary.ts';
import type { Scope } from './scope.ts';
import type { Place, Rotary } from './site.ts';

/** How a value on the way was made. */
export type Made =
  | 'given'
  | 'projection'
  | 'bias'
  | 'unpacked'
  | 'view'
  | 'scale'
  | 'norm'
  | 'rotary'
  | 'cache'
  | 'repeat'
  | 'crop';

export interface Step {
  readonly value: string;
  readonly axes: Axes | undefined;
  readonly made: Made;
}

export interface HeadPath {
  /** From the operand (first) back to where the way begins (last). */
  readonly steps: readonly Step[];
  readonly nodes: readonly Node[];
  /** Product of the constant factors met; undefined when one is a run-time value. */
  readonly scale: number | undefined;
  readonly scaled: boolean;
  readonly rotary: Rotary | undefined;
  /** The cached part and the value that holds it. */
  readonly past: string | undefined;
  readonly packed: string | undefined;
  readonly projection: Projection | undefined;
}

/** Longer ways do not occur; a bound keeps damaged graphs cheap. */
const LONGEST = 64;

/** One step back. */
interface Back {
  made: Made;
  to: string | undefined;
  axes: Axes | undefined;
  nodes: readonly Node[];
  factor?: number | undefined;
  rotary?: Rotary;
  past?: string;
  packed?: string;
  projection?: Projection;
}

export function headPath(
  scope: Scope,
  operand: string,
  axes: Axes | undefined,
  role: 'q' | 'k' | 'v',
): HeadPath {
  const steps: Step[] = [];
  const nodes: Node[] = [];
  let scale: number | undefined = 1;
  let scaled = false;
  let rotary: Rotary | undefined;
  let past: string | undefined;
  let packed: string | undefined;
  let projection: Projection | undefined;
  let at: string | undefined = operand;
  let meaning = axes;
  while (at !== undefined && steps.length < LONGEST) {
    const back: Back = stepBack(scope, at, meaning, role);
    steps.push({ value: at, axes: meaning, made: back.made });
    nodes.push(...back.nodes);
    if (back.made === 'scale') {
      scaled = true;
      scale = scale === undefined || back.factor === undefined ? undefined : scale * back.factor;
    }
    rotary ??= back.rotary;
    past ??= back.past;
    packed ??= back.packed;
    projection = back.projection;
    at = back.to;
    meaning = back.axes;
  }
  return { steps, nodes, scale, scaled, rotary, past, packed, projection };
}

function stepBack(scope: Scope, value: string, axes: Axes | undefined, role: 'q' | 'k' | 'v'): Back {
  const node = scope.maker(value);
  const passed = passedBy(scope, value);
  if (passed !== undefined) return { made: 'view', to: passed, axes, nodes: node ? [node] : [] };
  if (!node) return { made: 'given', to: undefined, axes, nodes: [] };
  return (
    viewed(scope, node, value, axes) ??
    biased(scope, node, value, axes) ??
    projected(scope, value, axes) ??
    multiplied(scope, node, axes) ??
    joined(scope, node, axes, role) ??
    rotated(scope, value, axes, role) ??
    normalised(scope, value, axes) ??
    unpacked(scope, node, value, axes) ?? { made: 'given', to: undefined, axes, nodes: [] }
  );
}

function viewed(scope: Scope, node: Node, value: string, axes: Axes | undefined): Back | undefined {
  if (!isView(node) && !isOp(node, 'Tile')) return undefined;
  const from = node.inputs[0] ?? '';
  const nodes = [node];
  if (node.opType === 'Transpose') {
    const perm = intsAttribute(node, 'perm') ?? axes?.map((_, i) => axes.length - 1 - i);
    return { made: 'view', to: from, axes: axes && perm && beforeTranspose(axes, perm), nodes };
  }
  const after = scope.shape(value);
  const before = scope.shape(from);
  if (node.opType === 'Expand' || node.opType === 'Tile') {
    const same = axes && before && axes.slice(axes.length - before.length);
    const grown =
      before && after ? before.map((dim, i) => dim !== after[after.length - before.length + i]) : [];
    const repeats = same?.some((letters, i) => grown[i] && /^[GHK]?$/.test(letters)) ?? false;
    const dropped = same?.map((letters, i) => (grown[i] && letters === 'G' ? '' : letters));
    return { made: repeats ? 'repeat' : 'view', to: from, axes: renamed(dropped), nodes };
  }
  // The last axis in pairs: an interleaved rotation, seen by its last Reshape.
  if (before && axes && before.length === axes.length + 1 && before.at(-1) === 2) {
    const rotary = rotaryOf(scope, value);
    if (rotary) return { made: 'rotary', to: rotary.input, axes, nodes: rotary.nodes, rotary: rotary.rotary };
  }
  const meaning = axes && (beforeReshape(axes, after, before) ?? guessedByRank(axes, before?.length));
  const repeats = meaning?.includes('G') ?? false;
  return { made: repeats ? 'repeat' : 'view', to: from, axes: renamed(meaning), nodes };
}

/** Without its repetition axis, the kv head axis is the head axis of k and v. */
function renamed(axes: Axes | undefined): Axes | undefined {
  return axes?.includes('K') && !axes.includes('G')
    ? axes.map((letters) => (letters === 'K' ? 'H' : letters))
    : axes;
}

/** What a Reshape between these ranks does where sizes are not known. */
function guessedByRank(axes: Axes, rank: number | undefined): Axes | undefined {
  const text = axes.join(',');
  if (text === 'B,S,H,D') return rank === 3 ? ['B', 'S', 'HD'] : rank === 2 ? ['BS', 'HD'] : undefined;
  if (text === 'BH,S,D' && rank === 4) return ['B', 'H', 'S', 'D'];
  if (text === 'BH,D,S' && rank === 4) return ['B', 'H', 'D', 'S'];
  return undefined;
}

function biased(scope: Scope, node: Node, value: string, axes: Axes | undefined): Back | undefined {
  const to = withoutBias(scope, value);
  return to === undefined ? undefined : { made: 'bias', to, axes, nodes: [node] };
}

/** Mul or Div by one number. */
function multiplied(scope: Scope, node: Node, axes: Axes | undefined): Back | undefined {
  if (!isOp(node, 'Mul', 'Div')) return undefined;
  const divides = node.opType === 'Div';
  for (const side of divides ? [1] : [1, 0]) {
    const by = node.inputs[side] ?? '';
    const to = node.inputs[1 - side] ?? '';
    const factor = scope.scalar(by);
    const shape = scope.shape(by);
    const single =
      factor !== undefined || (shape?.every((dim) => dim === 1) && (scope.rankOf(to) ?? 0) > shape.length);
    if (!single) continue;
    return {
      made: 'scale',
      to,
      axes,
      nodes: [node],
      factor: divides && factor !== undefined ? 1 / factor : factor,
    };
  }
  return undefined;
}

function projected(scope: Scope, value: string, axes: Axes | undefined): Back | undefined {
  const projection = projectionAt(scope, value);
  return projection && { made: 'projection', to: undefined, axes, nodes: [projection.node], projection };
}

/** Concat with the cache on the position axis, or a write into a cache of fixed size. */
function joined(scope: Scope, node: Node, axes: Axes | undefined, role: string): Back | undefined {
  if (role === 'q') return undefined;
  if (isOp(node, 'ScatterND', 'ScatterElements')) {
    return {
      made: 'cache',
      to: node.inputs[2],
      axes: sameRank(scope, axes, node.inputs[2]),
      nodes: [node],
      past: node.inputs[0]!,
    };
  }
  if (isOp(node, 'TensorScatter')) {
    return { made: 'cache', to: node.inputs[1], axes, nodes: [node], past: node.inputs[0]! };
  }
  if (!isOp(node, 'Concat') || node.inputs.length < 2) return undefined;
  const rank = axes?.length ?? scope.rankOf(node.outputs[0]!) ?? 4;
  const axis = intAttribute(node, 'axis', 0);
  const letters = axes?.[axis < 0 ? axis + rank : axis];
  if (letters === 'H' && new Set(node.inputs).size === 1) {
    return { made: 'repeat', to: node.inputs[0], axes, nodes: [node] };
  }
  if (letters !== 'S') return undefined;
  const [past, added] = [node.inputs[0]!, node.inputs.at(-1)!];
  return { made: 'cache', to: added, axes, nodes: [node], past };
}

function sameRank(scope: Scope, axes: Axes | undefined, value: string | undefined): Axes | undefined {
  return value !== undefined && axes && scope.rankOf(value) === axes.length ? axes : undefined;
}

function rotated(scope: Scope, value: string, axes: Axes | undefined, role: string): Back | undefined {
  if (role === 'v') return undefined;
  const use = rotaryOf(scope, value);
  if (!use) return undefined;
  const sameAxes = scope.rankOf(use.input) === scope.rankOf(value) ? axes : undefined;
  return { made: 'rotary', to: use.input, axes: sameAxes, nodes: use.nodes, rotary: use.rotary };
}

function normalised(scope: Scope, value: string, axes: Axes | undefined): Back | undefined {
  const norm = normOf(scope, value);
  return norm && { made: 'norm', to: norm.input, axes, nodes: norm.nodes };
}

/** Split, Slice or Gather out of a joint projection of q, k and v; crops of the position axis pass. */
function unpacked(scope: Scope, node: Node, value: string, axes: Axes | undefined): Back | undefined {
  const from = node.inputs[0] ?? '';
  const nodes = [node];
  if (isOp(node, 'Slice')) {
    const [before, after] = [scope.shape(from), scope.shape(value)];
    const changed = before && after ? before.flatMap((dim, i) => (dim === after[i] ? [] : [i])) : undefined;
    if (changed?.length === 0) return { made: 'view', to: from, axes, nodes };
    if (changed && axes && changed.every((axis) => axes[axis] === 'S' || axes[axis] === 'B')) {
      return { made: 'crop', to: from, axes, nodes };
    }
  } else if (isOp(node, 'Gather')) {
    if (scope.isConstant(from)) return undefined;
    const axis = intAttribute(node, 'axis', 0);
    if (scope.rankOf(node.inputs[1] ?? '') === 1 && axes) {
      const letters = axes[axis < 0 ? axis + axes.length : axis];
      if (letters === 'B' || letters === 'S') return { made: 'crop', to: from, axes, nodes };
      if (letters === 'H' && !fewerHeads(scope, from, value, axes))
        return { made: 'repeat', to: from, axes, nodes };
    }
  } else if (!isOp(node, 'Split')) {
    return undefined;
  }
  return {
    made: 'unpacked',
    to: undefined,
    axes,
    nodes,
    packed: jointValue(scope, from),
    ...jointProjection(scope, from),
  };
}

/** Whether heads are picked out of more (multi-query: k and v beside the heads of q), not repeated. */
function fewerHeads(scope: Scope, from: string, to: string, axes: Axes): boolean {
  const axis = axes.indexOf('H');
  const [before, after] = [scope.shape(from)?.[axis], scope.shape(to)?.[axis]];
  return isNumber(before) && isNumber(after) && after < before;
}

/** The joint projection before views took it apart. */
function jointValue(scope: Scope, value: string): string {
  let at = value;
  for (let node = scope.maker(at); node; node = scope.maker(at)) {
    const rank = scope.rankOf(at);
    if (!(isView(node) || isOp(node, 'Split', 'Slice', 'Gather')) || (rank !== undefined && rank <= 3)) break;
    at = node.inputs[0] ?? '';
  }
  return at;
}

function jointProjection(scope: Scope, value: string): { projection?: Projection } {
  let at = value;
  for (let steps = 0; steps < LONGEST; steps++) {
    const projection = projectionAt(scope, at);
    if (projection) return { projection };
    const node = scope.maker(at);
    const next =
      passedBy(scope, at) ??
      withoutBias(scope, at) ??
      (node && (isView(node) || isOp(node, 'Split', 'Slice', 'Gather')) ? node.inputs[0] : undefined);
    if (next === undefined) return {};
    at = next;
  }
  return {};
}

export function placeOf(step: Step | undefined): Place | undefined {
  const layout = step?.axes?.includes('') ? undefined : layoutOf(step?.axes);
  return step && layout && { value: step.value, layout };
}

/** Size of the axis with this letter, from the first step that tells. */
export function sizeOf(scope: Scope, steps: readonly Step[], letter: string): number | undefined {
  for (const { value, axes } of steps) {
    const size = scope.shape(value)?.[axes?.indexOf(letter) ?? -1];
    if (isNumber(size)) return size;
  }
  return undefined;
}

/** kv heads before they are repeated on the way; undefined where they are not. */
export function headsBeforeRepeat(scope: Scope, { steps }: HeadPath): number | undefined {
  const repeat = steps.findLastIndex((step) => step.made === 'repeat');
  return repeat < 0 ? undefined : sizeOf(scope, steps.slice(repeat + 1), 'H');
}
