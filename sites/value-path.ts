/** From the output of a Softmax on to its product with the values, and from there to the output projection. */
import type { Node, Use } from '../onnx/index.ts';
import { normOf } from './norm.ts';
import { isOp, isPass, isView, requantised } from './paths.ts';
import { activationSide, projectionAt, withoutBias } from './projection.ts';
import type { Scope } from './scope.ts';
import { productOf, type ScoreProduct } from './score-path.ts';

export interface ValueProduct {
  readonly product: ScoreProduct;
  /** Between Softmax and product. */
  readonly nodes: readonly Node[];
}

/** Values looked at after a Softmax, and nodes in a row: more than the longest known way to the values. */
const WIDEST = 256;
const LONGEST = 40;

/** Products whose left operand is the softmax result, nearest first. */
export function valueProducts(scope: Scope, pattern: string): ValueProduct[] {
  const found: ValueProduct[] = [];
  const queue: { value: string; nodes: readonly Node[] }[] = [{ value: pattern, nodes: [] }];
  const seen = new Set([pattern]);
  for (const { value, nodes } of queue) {
    if (queue.length > WIDEST || nodes.length > LONGEST) break;
    for (const use of scope.index.uses(value)) {
      const product = use.input < 0 ? undefined : productOf(scope, use.node);
      if (product) {
        const left = product.left === value && !product.transposedLeft;
        if (left || (product.einsum && product.right === value)) found.push({ product, nodes });
        continue;
      }
      for (const next of handedOn(scope, use)) {
        if (seen.has(next)) continue;
        seen.add(next);
        queue.push({ value: next, nodes: [...nodes, use.node] });
      }
    }
  }
  return found;
}

/** What a use of the pattern hands on as pattern. */
function handedOn(scope: Scope, { node, input }: Use): readonly string[] {
  const output = node.outputs[0] ?? '';
  if (input < 0) return node.outputs.filter((name) => scope.alias(name) !== undefined);
  if (input === 0 && (isPass(node) || (isView(node) && node.opType !== 'Transpose'))) return [output];
  if (isOp(node, 'QuantizeLinear', 'DequantizeLinear') && input === 0) return [output];
  // Where(IsNaN(p), 0, p); masks on heads; the column of a sink cut off again.
  if (isOp(node, 'Where') && input > 0) return [output];
  if (isOp(node, 'Mul')) return [output];
  if (isOp(node, 'Slice') && input === 0) return [output];
  return [];
}

export interface OutputPath {
  /** Input of the projection, or the last merged view where there is none. */
  readonly zFlat: string | undefined;
  readonly projection: Node | undefined;
  /** After projection and bias. */
  readonly out: string | undefined;
  readonly nodes: readonly Node[];
}

/** Gates and norms that may stand between attention and its projection. */
const DETOURS = 3;

/** From z to the output projection and past its bias. */
export function outputPath(scope: Scope, z: string): OutputPath {
  let start = z;
  const nodes: Node[] = [];
  let lastView: string | undefined;
  for (let detour = 0; detour <= DETOURS; detour++) {
    const queue: { value: string; nodes: readonly Node[] }[] = [{ value: start, nodes: [] }];
    const seen = new Set([start]);
    for (const { value, nodes: before } of queue) {
      if (queue.length > WIDEST || before.length > LONGEST) break;
      for (const use of scope.index.uses(value)) {
        const entered = projectionEntered(scope, use, value);
        if (entered) {
          const after = pastBias(scope, entered.output);
          return {
            zFlat: value,
            projection: entered.node,
            out: after.value,
            nodes: [...nodes, ...before, ...entered.nodes, ...after.nodes],
          };
        }
        const output = use.node.outputs[0] ?? '';
        if (use.input !== 0 || !(isPass(use.node) || isView(use.node)) || seen.has(output)) continue;
        seen.add(output);
        if (isView(use.node)) lastView = output;
        queue.push({ value: output, nodes: [...before, use.node] });
      }
    }
    const next = detourFrom(scope, [...seen]);
    if (next === undefined) break;
    nodes.push(...(scope.maker(next) ? [scope.maker(next)!] : []));
    start = next;
  }
  const merged = lastView !== undefined && (scope.rankOf(lastView) ?? 0) <= 3 ? lastView : undefined;
  return { zFlat: merged, projection: undefined, out: undefined, nodes };
}

/** The result of a norm over z, or of a gate on it. */
function detourFrom(scope: Scope, values: readonly string[]): string | undefined {
  for (const value of values) {
    for (const { node } of scope.index.uses(value)) {
      const output = node.outputs[0] ?? '';
      if (isOp(node, 'Mul') && output !== '') return output;
      if (output !== '' && normOf(scope, output)?.input === value) return output;
      const weighted = output === '' ? undefined : scope.index.uses(output)[0]?.node.outputs[0];
      if (weighted && normOf(scope, weighted)?.input === value) return weighted;
    }
  }
  return undefined;
}

interface Entered {
  readonly node: Node;
  readonly output: string;
  readonly nodes: readonly Node[];
}

/** The projection that takes `value` as its activation through this use. */
function projectionEntered(scope: Scope, { node, input }: Use, value: string): Entered | undefined {
  if (input < 0) return undefined;
  if (isOp(node, 'DynamicQuantizeLinear', 'QuantizeLinear') && input === 0) {
    return quantisedEntry(scope, node, value);
  }
  const output = node.outputs[0] ?? '';
  const projection = projectionAt(scope, output);
  if (!projection || projection.node !== node || projection.input !== value) return undefined;
  if (isOp(node, 'MatMul', 'com.microsoft.FusedMatMul', 'Einsum') && activationSide(scope, node) !== input)
    return undefined;
  return { node, output, nodes: [node] };
}

/** Quantised activation into MatMulInteger, rescaled afterwards; or through DequantizeLinear into an ordinary one. */
function quantisedEntry(scope: Scope, quantize: Node, value: string): Entered | undefined {
  for (const use of scope.index.uses(quantize.outputs[0] ?? '')) {
    if (use.input !== 0) continue;
    const multiply = use.node;
    if (isOp(multiply, 'DequantizeLinear') && requantised(scope, multiply) === value) {
      for (const on of scope.index.uses(multiply.outputs[0] ?? '')) {
        const entered = projectionEntered(scope, on, multiply.outputs[0]!);
        if (entered) return { ...entered, nodes: [quantize, multiply, ...entered.nodes] };
      }
    } else if (isOp(multiply, 'com.microsoft.MatMulIntegerToFloat')) {
      return { node: multiply, output: multiply.outputs[0]!, nodes: [quantize, multiply] };
    } else if (isOp(multiply, 'MatMulInteger')) {
      const cast = scope.index.uses(multiply.outputs[0] ?? '').find(({ node }) => isOp(node, 'Cast'))?.node;
      const scale =
        cast && scope.index.uses(cast.outputs[0] ?? '').find(({ node }) => isOp(node, 'Mul'))?.node;
      if (cast && scale)
        return { node: multiply, output: scale.outputs[0]!, nodes: [quantize, multiply, cast, scale] };
    }
  }
  return undefined;
}

/** Past the bias, and past a Reshape back to three axes. */
function pastBias(scope: Scope, value: string): { value: string; nodes: readonly Node[] } {
  let at = value;
  const nodes: Node[] = [];
  for (;;) {
    const next = scope.index.uses(at).find(({ node, input }) => {
      const output = node.outputs[0] ?? '';
      if (input < 0 || output === '') return false;
      if (withoutBias(scope, output) === at) return true;
      return isOp(node, 'Reshape') && input === 0 && (scope.rankOf(output) ?? 0) > (scope.rankOf(at) ?? 9);
    });
    if (!next) return { value: at, nodes };
    nodes.push(next.node);
    at = next.node.outputs[0]!;
  }
}
