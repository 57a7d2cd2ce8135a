/**
 * Where a block's result joins the residual stream: an Add, or a Skip*LayerNormalization that adds before it
 * normalises (P2). Between block and sum there may be post-norms (Gemma), layer scales, casts and views.
 */
import type { Node } from '../onnx/index.ts';
import { isSkipNorm, isWeight, normOf, SUM_OUTPUT } from './norm.ts';
import { isOp, passedBy, unviewed } from './paths.ts';
import type { Scope } from './scope.ts';

export interface ResidualSum {
  readonly node: Node;
  /** The operand that comes from the block, and the one that is the stream. */
  readonly added: string;
  readonly stream: string;
  /** Value of the sum; undefined when the operator computes it without naming it. */
  readonly sum: string | undefined;
  /** Output 0 of Skip*LayerNormalization: the sum normalised. */
  readonly normalised: string | undefined;
}

/** Nodes searched after a block for the sum it goes into; MLPs with many experts are long. */
const HORIZON = 3000;

/** The operands of a sum of two activations. */
export function summands(scope: Scope, node: Node): readonly [string, string] | undefined {
  if (!isOp(node, 'Add') && !isSkipNorm(node)) return undefined;
  const [a, b] = node.inputs;
  if (a === undefined || b === undefined || isWeight(scope, a) || isWeight(scope, b)) return undefined;
  return [a, b];
}

/** The first sum after `from`, in order of execution, that takes it in as one summand. */
export function sumAfter(scope: Scope, from: string): ResidualSum | undefined {
  return sweep(scope, [from], (node, [a, b], reached) => {
    if (reached.has(a) === reached.has(b)) return undefined;
    const [added, stream] = reached.has(a) ? [a, b] : [b, a];
    return comesFrom(scope, added, from) ? residualSum(node, added, stream) : undefined;
  });
}

/**
 * The first sum after another of what it yields (or, in post-norm models, of its norm) with something computed
 * from it.
 */
export function sumAfterSum(scope: Scope, { sum, normalised }: ResidualSum): ResidualSum | undefined {
  const streams = [sum, normalised].filter((value) => value !== undefined && value !== '') as string[];
  if (streams.length === 0) return undefined;
  const isStream = (value: string) => {
    const source = unviewed(scope, value);
    if (streams.includes(source)) return true;
    const norm = normOf(scope, source);
    if (norm !== undefined && unviewed(scope, norm.input) === sum) return true;
    return isRepair(scope.maker(source)) && unrepaired(scope, source, (at) => streams.includes(at));
  };
  return sweep(scope, streams, (node, [a, b], reached) => {
    if (!reached.has(a) || !reached.has(b)) return undefined;
    if (isStream(a)) return isStream(b) ? undefined : residualSum(node, b, a);
    return isStream(b) ? residualSum(node, a, b) : undefined;
  });
}

/** What may stand on a stream without ending it: clamps, masks on tokens, gates, casts, further sums. */
const ELEMENTWISE: ReadonlySet<string> = new Set([
  ...[
    'Add',
    'Sub',
    'Mul',
    'Div',
    'Clip',
    'Min',
    'Max',
    'Where',
    'Cast',
    'CastLike',
    'Identity',
    'Dropout',
    'Neg',
  ],
  ...[
    'Reshape',
    'Transpose',
    'Squeeze',
    'Unsqueeze',
    'Expand',
    'QuantizeLinear',
    'DequantizeLinear',
    'Sum',
    'Mean',
  ],
  ...['Tanh', 'Relu', 'Elu', 'Selu', 'LeakyRelu', 'Sigmoid', 'Erf', 'Gelu', 'Softplus', 'HardSwish', 'Round'],
]);

/** Values looked at behind a stream; more than any known repair or gate is long. */
const WIDEST = 48;

/** The nearest value, back through elementwise nodes, that is what is looked for. */
export function behindElementwise(
  scope: Scope,
  value: string,
  found: (value: string) => boolean,
): string | undefined {
  const seen = new Set([value]);
  for (const at of seen) {
    if (found(at)) return at;
    if (seen.size > WIDEST) return undefined;
    const node = scope.maker(at);
    if (node?.domain !== '' || !ELEMENTWISE.has(node.opType)) continue;
    for (const input of node.inputs) if (input !== '' && !isWeight(scope, input)) seen.add(input);
  }
  return undefined;
}

function isRepair(node: Node | undefined): boolean {
  return node !== undefined && node.domain === '' && REPAIRS.has(node.opType);
}

/** Clamps and masks between a sum and the branch that starts from it. */
const REPAIRS: ReadonlySet<string> = new Set(['Clip', 'Where', 'Mul', 'Min', 'Max', 'Cast', 'Identity']);

/** The value behind clamps and masks, seen through their first computed operand of the same shape. */
function unrepaired(scope: Scope, value: string, found: (value: string) => boolean): boolean {
  const seen = new Set([value]);
  for (const at of seen) {
    if (found(at)) return true;
    if (seen.size > 12) return false;
    const node = scope.maker(at);
    if (node?.domain !== '' || !REPAIRS.has(node.opType)) continue;
    for (const input of node.inputs)
      if (input !== '' && !isWeight(scope, input)) seen.add(unviewed(scope, input));
  }
  return false;
}

function residualSum(node: Node, added: string, stream: string): ResidualSum {
  const skip = isSkipNorm(node);
  const sum = node.outputs[skip ? SUM_OUTPUT : 0] || undefined;
  return { node, added, stream, sum, normalised: skip ? node.outputs[0] : undefined };
}

function sweep(
  scope: Scope,
  from: readonly string[],
  test: (
    node: Node,
    operands: readonly [string, string],
    reached: ReadonlySet<string>,
  ) => ResidualSum | undefined,
): ResidualSum | undefined {
  const reached = new Set(from);
  const first = Math.min(...from.map((value) => scope.place(value))) + 1;
  const last = Math.min(scope.order.length, first + HORIZON);
  for (let place = first; place < last; place++) {
    const node = scope.graph.nodes[scope.order[place]!]!;
    if (!node.inputs.some((input) => reached.has(input))) continue;
    const operands = summands(scope, node);
    const found = operands && test(node, operands, reached);
    if (found) return found;
    for (const output of node.outputs) if (output !== '') reached.add(output);
  }
  return undefined;
}

/** Whether a value is `source` after norms, constant factors, casts and views. */
function comesFrom(scope: Scope, value: string, source: string): boolean {
  let at = value;
  for (let steps = 0; steps < 12; steps++) {
    if (at === source) return true;
    const node = scope.maker(at);
    if (!node) return false;
    const next =
      passedBy(scope, at) ??
      (isOp(node, 'Reshape', 'Transpose', 'Unsqueeze', 'Squeeze', 'Slice') ? node.inputs[0] : undefined) ??
      unscaled(scope, node) ??
      normOf(scope, at)?.input;
    if (next === undefined) return false;
    at = next;
  }
  return false;
}

/** x of Mul(x, weight), Div(x, weight) and Add(x, bias). */
function unscaled(scope: Scope, node: Node): string | undefined {
  if (!isOp(node, 'Mul', 'Div', 'Add')) return undefined;
  const [a = '', b = ''] = node.inputs;
  // A gain of a norm belongs to the norm.
  const x = isWeight(scope, b) ? a : isWeight(scope, a) ? b : undefined;
  return x !== undefined && normOf(scope, node.outputs[0] ?? '') === undefined ? x : undefined;
}
