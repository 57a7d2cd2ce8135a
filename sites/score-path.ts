/**
 * From the input of a Softmax back to the product of queries and keys: scale, soft cap, masks, biases, sinks, in
 * whatever order and spelling they stand between.
 */
import { floatAttribute, intAttribute, type Node, qualifiedOp, stringAttribute } from '../onnx/index.ts';
import { isWeight } from './norm.ts';
import { isOp, isView, passedBy } from './paths.ts';
import type { Scope } from './scope.ts';
import type { MaskUse } from './site.ts';

/** A product of two computed tensors of rank ≥ 3, with operands and the letters of their axes. */
export interface ScoreProduct {
  readonly node: Node;
  readonly left: string;
  readonly right: string;
  readonly transposedLeft: boolean;
  readonly transposedRight: boolean;
  /** Factor inside the operator (FusedMatMul). */
  readonly alpha: number;
  /** Equation of an Einsum: [left, right, out]. */
  readonly einsum?: readonly [string, string, string] | undefined;
}

export interface ScorePath {
  readonly product: ScoreProduct;
  /** Between product and Softmax, Softmax side first. */
  readonly nodes: readonly Node[];
  /** Product of the constant factors on the scores; undefined when one is a run-time value. */
  readonly scale: number | undefined;
  readonly scaled: boolean;
  readonly softcap: number | undefined;
  readonly masks: readonly MaskUse[];
  /** A value joined to the scores on the key axis: learned sinks. */
  readonly sink: string | undefined;
  /** What the Softmax is given but for the sinks, where nothing but a shift of all logits comes after they are joined. */
  readonly unsunk: string | undefined;
}

const PRODUCTS: ReadonlySet<string> = new Set(['MatMul', 'com.microsoft.FusedMatMul', 'Einsum']);

/** The node as a product of two activations; undefined for projections and products of low rank. */
export function productOf(scope: Scope, node: Node): ScoreProduct | undefined {
  if (!PRODUCTS.has(qualifiedOp(node)) || node.inputs.length !== 2) return undefined;
  const [left, right] = node.inputs as [string, string];
  if (isWeight(scope, left) || isWeight(scope, right)) return undefined;
  if ((scope.rankOf(left) ?? 4) < 3 || (scope.rankOf(right) ?? 4) < 3) return undefined;
  const base = { node, left, right };
  if (node.opType === 'Einsum') {
    const [operands, out] = stringAttribute(node, 'equation')?.replaceAll(' ', '').split('->') ?? [];
    const [a, b] = operands?.split(',') ?? [];
    if (a === undefined || b === undefined || out === undefined) return undefined;
    return { ...base, transposedLeft: false, transposedRight: false, alpha: 1, einsum: [a, b, out] };
  }
  return {
    ...base,
    transposedLeft: intAttribute(node, 'transA', 0) === 1,
    transposedRight: intAttribute(node, 'transB', 0) === 1,
    alpha: floatAttribute(node, 'alpha', 1),
  };
}

/** More steps than the longest known way from scores to Softmax. */
const LONGEST = 40;

/** Values that lead nowhere before the search is given up: masks of real exports are some hundreds of nodes. */
const WIDEST = 4000;

interface Walk {
  nodes: Node[];
  masks: MaskUse[];
  /** Factors on the Softmax side of a Tanh, and on the product side. */
  after: number | undefined;
  before: number | undefined;
  scaled: boolean;
  capped: boolean;
  sink: string | undefined;
  unsunk: string | undefined;
}

export function scorePath(scope: Scope, softmaxInput: string): ScorePath | undefined {
  const start: Walk = {
    nodes: [],
    masks: [],
    after: 1,
    before: 1,
    scaled: false,
    capped: false,
    sink: undefined,
    unsunk: undefined,
  };
  const dead = new Set<string>();
  const found = walk(scope, softmaxInput, start, LONGEST, dead);
  if (!found) return undefined;
  const { product, end } = found;
  const factors = end.capped ? [end.before, end.after] : [end.after];
  const scale = factors.reduce(
    (total, factor) => (total === undefined || factor === undefined ? undefined : total * factor),
    1 as number | undefined,
  );
  return {
    product,
    nodes: end.nodes,
    scale,
    scaled: end.scaled,
    softcap: end.capped ? end.after : undefined,
    masks: end.masks,
    sink: end.sink,
    unsunk: end.unsunk,
  };
}

interface Found {
  product: ScoreProduct;
  end: Walk;
}

/** Depth first; `dead` remembers values that lead nowhere, so shared mask arithmetic is searched once. */
function walk(scope: Scope, value: string, so: Walk, left: number, dead: Set<string>): Found | undefined {
  if (left === 0 || value === '' || dead.has(value) || dead.size > WIDEST) return undefined;
  const node = scope.maker(value);
  const found = node && (passOn(scope, value, node, so, left, dead) ?? through(scope, node, so, left, dead));
  if (!found) dead.add(value);
  return found;
}

function passOn(
  scope: Scope,
  value: string,
  node: Node,
  so: Walk,
  left: number,
  dead: Set<string>,
): Found | undefined {
  const product = productOf(scope, node);
  if (product) return { product, end: so };
  const on =
    passedBy(scope, value) ?? (isView(node) && node.opType !== 'Transpose' ? node.inputs[0] : undefined);
  return on === undefined
    ? undefined
    : walk(scope, on, { ...so, nodes: [...so.nodes, node] }, left - 1, dead);
}

function through(scope: Scope, node: Node, so: Walk, left: number, dead: Set<string>): Found | undefined {
  const [a = '', b = '', c = ''] = node.inputs;
  const on = (value: string, change: Partial<Walk> = {}) =>
    walk(scope, value, { ...so, nodes: [...so.nodes, node], ...change }, left - 1, dead);
  const masked = (value: string, kind: MaskUse['kind']) => ({ masks: [...so.masks, { node, value, kind }] });
  switch (qualifiedOp(node)) {
    case 'Add':
      return on(a, masked(b, 'additive')) ?? on(b, masked(a, 'additive'));
    case 'Sub':
      return on(a, isMaximum(scope, b) ? {} : masked(b, 'additive'));
    case 'Where':
      return on(b, masked(a, 'select')) ?? on(c, masked(a, 'select'));
    case 'Mul':
      return scaledBy(scope, so, a, b, 'Mul', on, masked) ?? scaledBy(scope, so, b, a, 'Mul', on, masked);
    case 'Div':
      return scaledBy(scope, so, a, b, 'Div', on, masked);
    case 'Tanh':
      return so.capped ? undefined : on(a, { capped: true });
    case 'Max':
    case 'Min':
    case 'Clip':
      return on(a);
    case 'Concat': {
      if (so.sink !== undefined) return undefined;
      const final = so.masks.length === 0 && !so.scaled && !so.capped;
      const joined = (scores: string, sink: string) =>
        on(scores, { sink, unsunk: final ? scores : undefined });
      return joined(a, b) ?? joined(b, a);
    }
    default:
      return undefined;
  }
}

/** x − max(x), written before a Softmax for stability, changes nothing. */
function isMaximum(scope: Scope, value: string): boolean {
  return isOp(scope.maker(value), 'ReduceMax');
}

function scaledBy(
  scope: Scope,
  so: Walk,
  scores: string,
  by: string,
  op: 'Mul' | 'Div',
  on: (value: string, change?: Partial<Walk>) => Found | undefined,
  masked: (value: string, kind: MaskUse['kind']) => Partial<Walk>,
): Found | undefined {
  const number = scope.scalar(by);
  const factor = number === undefined ? undefined : op === 'Mul' ? number : 1 / number;
  const single = scope.shape(by)?.every((dim) => dim === 1) ?? false;
  // A divisor or factor of several numbers is a mask; as a divisor it also makes the scale a run-time value.
  const mask = number === undefined && !single ? masked(by, 'multiply') : {};
  const unknown = number === undefined && (single || op === 'Div');
  const side = so.capped ? 'before' : 'after';
  const total = so[side] === undefined || unknown ? undefined : so[side]! * (factor ?? 1);
  const scales = number !== undefined || unknown;
  return on(scores, { ...mask, [side]: total, scaled: so.scaled || scales });
}
