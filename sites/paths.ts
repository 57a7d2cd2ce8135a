/** Walking along values through nodes that do not change what the value means. */
import { type Node, qualifiedOp } from '../onnx/index.ts';
import type { Scope } from './scope.ts';

/** Nodes that hand their first input through: same numbers, up to rounding. */
const PASS: ReadonlySet<string> = new Set(['Identity', 'Cast', 'CastLike', 'Dropout']);

/** Operators that hand their input through where it is their only one. */
const PASS_ALONE: ReadonlySet<string> = new Set(['Concat', 'Sum', 'Max', 'Min', 'Mean']);

/** Nodes that only rearrange their first input. */
const VIEW: ReadonlySet<string> = new Set([
  'Reshape',
  'Transpose',
  'Unsqueeze',
  'Squeeze',
  'Flatten',
  'Expand',
]);

export function isPass(node: Node): boolean {
  if (node.domain !== '') return false;
  return PASS.has(node.opType) || (node.inputs.length === 1 && PASS_ALONE.has(node.opType));
}

export function isView(node: Node): boolean {
  return node.domain === '' && VIEW.has(node.opType);
}

/** A node that isOp has looked at; the brand keeps `!isOp(node)` from excluding Node altogether. */
type Named = Node & { readonly [named]: true };
declare const named: unique symbol;

/** Whether the node is one of the operators given, qualified: 'Add', 'com.microsoft.FusedMatMul'. */
export function isOp(node: Node | undefined, ...names: readonly string[]): node is Named {
  return node !== undefined && names.includes(qualifiedOp(node));
}

/** DequantizeLinear(QuantizeLinear(x)): the value it rounds; undefined for anything else. */
export function requantised(scope: Scope, node: Node): string | undefined {
  if (!isOp(node, 'DequantizeLinear', 'com.microsoft.DequantizeLinear')) return undefined;
  const quantize = scope.maker(node.inputs[0] ?? '');
  return isOp(quantize, 'QuantizeLinear', 'com.microsoft.QuantizeLinear') ? quantize.inputs[0] : undefined;
}

/** The value one step back through a node that hands it on unchanged. */
export function passedBy(scope: Scope, value: string): string | undefined {
  const alias = scope.alias(value);
  if (alias !== undefined) return alias;
  const node = scope.maker(value);
  if (!node || node.outputs[0] !== value) return undefined;
  return isPass(node) ? node.inputs[0] : requantised(scope, node);
}

/** The first value of the chain of Identity, Cast, Dropout, … that ends in `value`. */
export function plain(scope: Scope, value: string): string {
  let at = value;
  for (let next = passedBy(scope, at); next !== undefined; next = passedBy(scope, at)) at = next;
  return at;
}

/** As `plain`, through Reshape, Transpose and the like as well. */
export function unviewed(scope: Scope, value: string): string {
  const known = scope.memo<string>('unviewed');
  const way: string[] = [];
  let at = value;
  for (;;) {
    const before = known.get(at);
    if (before !== undefined) at = before;
    way.push(at);
    const node = scope.maker(at);
    const next = passedBy(scope, at) ?? (node && isView(node) ? node.inputs[0] : undefined);
    if (next === undefined || next === '') break;
    at = next;
  }
  for (const passed of way) known.set(passed, at);
  known.set(value, at);
  return at;
}
