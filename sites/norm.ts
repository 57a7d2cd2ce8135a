/** Layer and RMS normalisation: as one operator, or written out (… ReduceMean … Sqrt …). */
import { type Node, qualifiedOp } from '../onnx/index.ts';
import { isOp, passedBy } from './paths.ts';
import { singleEntry } from './region.ts';
import type { Scope } from './scope.ts';

/** Operators that normalise input 0. They may stand in the default domain of any opset (README, traps). */
const NORMS: ReadonlySet<string> = new Set([
  'LayerNormalization',
  'RMSNormalization',
  'SimplifiedLayerNormalization',
  'com.microsoft.SimplifiedLayerNormalization',
  'com.microsoft.LayerNormalization',
  'LpNormalization',
]);

/** Operators that add input 1 (and bias 4) to input 0, normalise into output 0 and give the sum as output 3. */
const SKIP_NORMS: ReadonlySet<string> = new Set([
  'com.microsoft.SkipLayerNormalization',
  'com.microsoft.SkipSimplifiedLayerNormalization',
  'com.microsoft.EmbedLayerNormalization',
  'SkipLayerNormalization',
  'SkipSimplifiedLayerNormalization',
]);

/** Index of the sum among the outputs of Skip*LayerNormalization. */
export const SUM_OUTPUT = 3;

export function isSkipNorm(node: Node | undefined): node is Node {
  return node !== undefined && SKIP_NORMS.has(qualifiedOp(node)) && node.opType !== 'EmbedLayerNormalization';
}

/** The bias a Skip*LayerNormalization adds besides its two summands. */
export function skipBias(node: Node): string | undefined {
  if (!isSkipNorm(node)) return undefined;
  return node.inputs[node.opType === 'SkipSimplifiedLayerNormalization' ? 3 : 4] || undefined;
}

const ARITHMETIC: ReadonlySet<string> = new Set([
  ...['Add', 'Sub', 'Mul', 'Div', 'Pow', 'Sqrt', 'Reciprocal', 'ReduceMean', 'ReduceSum', 'ReduceL2', 'Abs'],
  ...['Cast', 'Identity', 'Max', 'Clip', 'Expand', 'CastLike', 'Exp', 'Log', 'Neg'],
]);

const REDUCE: ReadonlySet<string> = new Set(['ReduceMean', 'ReduceSum', 'ReduceL2']);

export interface Norm {
  /** What is normalised. */
  readonly input: string;
  readonly nodes: readonly Node[];
}

/** The normalisation whose result (scale and shift included) is `value`. */
export function normOf(scope: Scope, value: string): Norm | undefined {
  const node = scope.maker(value);
  if (!node) return undefined;
  if (node.outputs[0] === value && NORMS.has(qualifiedOp(node)))
    return { input: node.inputs[0]!, nodes: [node] };
  if (!isOp(node, 'Mul', 'Add', 'Div', 'Cast', 'Sub', 'CastLike')) return undefined;
  return simplified(scope, value) ?? writtenOut(scope, value);
}

/** Mul(weight, norm operator): exporters leave the weight outside of it. */
function simplified(scope: Scope, value: string): Norm | undefined {
  const nodes: Node[] = [];
  let at = value;
  for (let steps = 0; steps < 4; steps++) {
    const node = scope.maker(at);
    if (!node) return undefined;
    nodes.push(node);
    if (node.outputs[0] === at && NORMS.has(qualifiedOp(node))) return { input: node.inputs[0]!, nodes };
    const next = passedBy(scope, at) ?? (isOp(node, 'Mul', 'Add') ? otherThanWeight(scope, node) : undefined);
    if (next === undefined) return undefined;
    at = next;
  }
  return undefined;
}

function otherThanWeight(scope: Scope, node: Node): string | undefined {
  const [a, b] = node.inputs as [string, string];
  if (isWeight(scope, b)) return a;
  return isWeight(scope, a) ? b : undefined;
}

function writtenOut(scope: Scope, value: string): Norm | undefined {
  let reduced = false;
  const region = singleEntry(scope, value, {
    inputs(node) {
      if (node.domain !== '' || !ARITHMETIC.has(node.opType)) return undefined;
      const reduces = REDUCE.has(node.opType);
      reduced ||= reduces;
      return reduces || node.opType === 'Expand' || node.opType === 'Clip'
        ? node.inputs.slice(0, 1)
        : node.inputs;
    },
    side: (input) => isWeight(scope, input),
    complete: () => reduced,
  });
  if (!region) return undefined;
  // LayerNormalization converges first at x − mean(x); its input is one step further.
  const node = scope.maker(region.entry);
  const [x, mean] = isOp(node, 'Sub') ? node.inputs : [];
  const reduce = mean === undefined ? undefined : scope.maker(mean);
  if (x !== undefined && reduce && REDUCE.has(reduce.opType) && reduce.inputs[0] === x) {
    return { input: x, nodes: [...region.nodes, node!, reduce] };
  }
  return { input: region.entry, nodes: region.nodes };
}

/**
 * A constant, or what takes its place in graphs whose weights are inputs (torch's DORT): a float input of rank
 * 1 or 2 with fixed sizes, perhaps cast, transposed, handed through Identity or through both branches of an If.
 */
export function isWeight(scope: Scope, value: string): boolean {
  if (value === '' || scope.isConstant(value)) return value !== '';
  const known = scope.memo<boolean>('weight');
  const before = known.get(value);
  if (before !== undefined) return before;
  // Until it is known to be one it is none: chains of If ask for it again and again.
  known.set(value, false);
  const found = takesPlaceOfConstant(scope, value);
  known.set(value, found);
  return found;
}

function takesPlaceOfConstant(scope: Scope, value: string): boolean {
  let at = value;
  for (let producer = scope.index.producer(at); producer; producer = scope.index.producer(at)) {
    const { node, position, output } = producer;
    if (node.opType === 'If') {
      return scope
        .branches(position)
        .every(({ scope: branch }) => isWeight(branch, branch.graph.outputs[output]?.name ?? ''));
    }
    const next = passedBy(scope, at) ?? (isOp(node, 'Transpose') ? node.inputs[0] : undefined);
    if (next === undefined) return false;
    at = next;
  }
  if (!scope.index.isInput(at))
    return scope.parent !== undefined && !scope.index.isDefined(at) && isWeight(scope.parent, at);
  const shape = scope.shape(at);
  return (
    shape !== undefined &&
    (shape.length === 1 || shape.length === 2) &&
    shape.every((dim) => typeof dim === 'number')
  );
}
