/**
 * Whether a mask hides later keys: decided by what the mask is computed from. Evidence is a comparison of two
 * position ranges, a Trilu, a constant triangular table, or a table given at run time.
 */
import { describeNode, elementCount, type Node, tensorValues } from '../onnx/index.ts';
import type { Shape } from './dims.ts';
import { isOp } from './paths.ts';
import type { Scope } from './scope.ts';
import type { Causal, MaskUse } from './site.ts';

interface Evidence {
  /** Position comparison, Trilu or triangular constant. */
  readonly causal?: string | undefined;
  /** A table [.., S, T] given at run time. */
  readonly given?: string | undefined;
  /** A table whose bytes are not there. */
  readonly missing?: string | undefined;
  /** Padding flags or lengths. */
  readonly padding?: string | undefined;
  /** Made from Range or CumSum. */
  readonly positions: boolean;
  readonly window?: number | undefined;
}

/** Elements of a mask table that is read: 8,192 positions squared. Larger tables are weights. */
const LARGEST_TABLE = 2 ** 26;

const NOTHING: Evidence = { positions: false };

export interface Verdict {
  readonly causal: Causal;
  readonly causalBy: string;
  readonly window: number | undefined;
}

const COMPARISONS = ['Less', 'LessOrEqual', 'Greater', 'GreaterOrEqual'];

const known = new WeakMap<Scope, Map<string, Evidence>>();

/** Causality of a site from the masks on its scores. */
export function causality(scope: Scope, masks: readonly MaskUse[], scores: Shape | undefined): Verdict {
  let all = NOTHING;
  for (const mask of masks) all = merged(all, evidence(scope, mask.value, scores, 80));
  const window = all.window;
  if (all.causal) return { causal: true, causalBy: all.causal, window };
  if (all.missing)
    return { causal: null, causalBy: `table ${all.missing} lies in external data that was not read`, window };
  if (all.given) return { causal: 'data', causalBy: `mask ${all.given} is given at run time`, window };
  if (all.padding) return { causal: false, causalBy: `padding only, from ${all.padding}`, window };
  return {
    causal: false,
    causalBy: masks.length === 0 ? 'no mask' : 'the masks do not depend on the order',
    window,
  };
}

function merged(a: Evidence, b: Evidence): Evidence {
  return {
    causal: a.causal ?? b.causal,
    given: a.given ?? b.given,
    missing: a.missing ?? b.missing,
    padding: a.padding ?? b.padding,
    positions: a.positions || b.positions,
    window: a.window ?? b.window,
  };
}

function evidence(scope: Scope, value: string, scores: Shape | undefined, depth: number): Evidence {
  if (depth === 0 || value === '') return NOTHING;
  const memo = known.get(scope) ?? new Map<string, Evidence>();
  known.set(scope, memo);
  const before = memo.get(value);
  if (before) return before;
  const found = examined(scope, value, scores, depth);
  memo.set(value, found);
  return found;
}

function examined(scope: Scope, value: string, scores: Shape | undefined, depth: number): Evidence {
  const node = scope.maker(value);
  if (!node || isOp(node, 'Constant')) return leaf(scope, value, scores, depth);
  if (isOp(node, 'Range', 'CumSum')) return { ...NOTHING, positions: true };
  // Sizes are not positions, and what a mask is sliced or expanded to says nothing about its order.
  if (isOp(node, 'Shape', 'Size')) return NOTHING;
  if (isOp(node, 'Trilu')) return { ...NOTHING, causal: `${describeNode(node)} makes a triangle` };
  if (isOp(node, ...COMPARISONS)) return compared(scope, node, scores, depth);
  const inputs = dataInputs(node);
  return inputs.reduce((all, input) => merged(all, evidence(scope, input, scores, depth - 1)), NOTHING);
}

/** Inputs that contribute content, not shape. */
function dataInputs(node: Node): readonly string[] {
  if (
    isOp(node, 'Slice', 'Reshape', 'Expand', 'Unsqueeze', 'Squeeze', 'ReduceSum', 'ReduceMax', 'Tile', 'Pad')
  ) {
    return node.inputs.slice(0, 1);
  }
  return node.inputs;
}

function leaf(scope: Scope, value: string, scores: Shape | undefined, depth: number): Evidence {
  const constant = scope.index.constant(value);
  if (constant) {
    const rows = constant.dims.at(-2) ?? 1;
    const columns = constant.dims.at(-1) ?? 1;
    if (rows < 2 || columns < 2) return isRange(scope, value) ? { ...NOTHING, positions: true } : NOTHING;
    const small = elementCount(constant) <= LARGEST_TABLE;
    const values = small ? (scope.file.values(constant) ?? tensorValues(constant)) : undefined;
    if (!values) return { ...NOTHING, missing: constant.name || value };
    if (!isTriangular(values, rows, columns)) return NOTHING;
    return { ...NOTHING, causal: `constant lower-triangular table ${value}` };
  }
  if (!scope.index.isInput(value))
    return scope.parent ? evidence(scope.parent, value, scores, depth - 1) : NOTHING;
  const shape = scope.shape(value);
  if (!shape) return NOTHING;
  const [rows, columns] = [shape.at(-2), shape.at(-1)];
  const flags = rows === scores?.[0] || rows !== scores?.at(-2) || columns !== scores?.at(-1);
  const perQuery = shape.length >= 3 ? rows !== 1 : shape.length === 2 && !flags;
  if (perQuery) return { ...NOTHING, given: value };
  return { ...NOTHING, padding: value };
}

/** A constant vector 0, 1, 2, … */
function isRange(scope: Scope, value: string): boolean {
  const content = scope.content(value);
  return content !== undefined && content.length > 1 && content.every((x, i) => x === i);
}

/** One value on and below the diagonal and another above it. */
function isTriangular(values: readonly number[], rows: number, columns: number): boolean {
  const shift = Math.max(0, columns - rows);
  const [below, above] = [values[0], values[columns - 1]];
  if (below === above) return false;
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      if (values[i * columns + j] !== (j <= i + shift || j <= i ? below : above)) {
        return shift > 0 && isTriangularUnshifted(values, rows, columns);
      }
    }
  }
  return true;
}

function isTriangularUnshifted(values: readonly number[], rows: number, columns: number): boolean {
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      if (values[i * columns + j] !== (j <= i ? values[0] : values[columns - 1])) return false;
    }
  }
  return true;
}

function compared(scope: Scope, node: Node, scores: Shape | undefined, depth: number): Evidence {
  const [a, b] = node.inputs.map((input) => evidence(scope, input, scores, depth - 1)) as [
    Evidence,
    Evidence,
  ];
  const shape = scope.shape(node.outputs[0] ?? '');
  const table = shape !== undefined && shape.length >= 2 && shape.at(-1) !== 1 && shape.at(-2) !== 1;
  if (!(a.positions && b.positions) || (shape && !table)) return { ...merged(a, b), positions: false };
  const distance = offset(scope, node.inputs[0]!) ?? offset(scope, node.inputs[1]!);
  if (distance !== undefined) return { ...merged(a, b), positions: false, window: distance };
  return { ...merged(a, b), positions: false, causal: `${describeNode(node)} compares positions` };
}

/** W of a position − W: the width of a sliding window. What is added (the length of the cache) is none. */
function offset(scope: Scope, value: string): number | undefined {
  let at = value;
  for (let steps = 0; steps < 12; steps++) {
    const node = scope.maker(at);
    if (!node) return undefined;
    const by = scope.scalar(node.inputs[1] ?? '') ?? 0;
    if (isOp(node, 'Sub') && by > 1) return by;
    if (isOp(node, 'Add') && by < -1) return -by;
    at = node.inputs[0] ?? '';
  }
  return undefined;
}
