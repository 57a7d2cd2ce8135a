/**
 * Linear projections (P7): MatMul, Gemm, Einsum with a weight, quantised MatMulNBits, QDQ pairs, and dynamic int8
 * (MatMulInteger with its Cast and scale, DynamicQuantizeMatMul, MatMulIntegerToFloat).
 */
import { type Node, qualifiedOp } from '../onnx/index.ts';
import { isWeight } from './norm.ts';
import { isOp } from './paths.ts';
import type { Scope } from './scope.ts';

export interface Projection {
  /** The multiplying node. */
  readonly node: Node;
  /** The activation that enters. */
  readonly input: string;
  /** What the multiplication yields, rescaled where it is integer, before any bias that stands outside. */
  readonly output: string;
}

/** Operators that multiply input 0 with weights by definition. */
const ALWAYS: ReadonlySet<string> = new Set([
  'com.microsoft.MatMulNBits',
  'com.microsoft.MatMulBnb4',
  'com.microsoft.DynamicQuantizeMatMul',
  'com.microsoft.MatMulFpQ4',
  'com.microsoft.FusedGemm',
  'com.microsoft.GemmFloat8',
  'com.microsoft.FusedConv',
  'Gemm',
  'Conv',
]);

/** Operators that are projections when one side is a weight. */
const PERHAPS: ReadonlySet<string> = new Set([
  'MatMul',
  'com.microsoft.FusedMatMul',
  'Einsum',
  'com.microsoft.GemmFastGelu',
]);

/** The multiplication behind `value`; `value` is its output or, for integer ones, the rescaled output. */
export function projectionAt(scope: Scope, value: string): Projection | undefined {
  const node = scope.maker(value);
  if (!node) return undefined;
  const op = qualifiedOp(node);
  if (ALWAYS.has(op)) return { node, input: node.inputs[0]!, output: value };
  if (PERHAPS.has(op)) {
    const side = activationSide(scope, node);
    return side === undefined ? undefined : { node, input: node.inputs[side]!, output: value };
  }
  if (op === 'com.microsoft.MatMulIntegerToFloat') {
    return { node, input: unquantised(scope, node.inputs[0]!), output: value };
  }
  return integerProjection(scope, value);
}

/** Which operand of a MatMul is the activation; undefined when both are. */
export function activationSide(scope: Scope, node: Node): 0 | 1 | undefined {
  const [a, b] = node.inputs;
  if (a === undefined || b === undefined) return undefined;
  if (isWeight(scope, b)) return 0;
  return isWeight(scope, a) ? 1 : undefined;
}

/** Mul(Cast(MatMulInteger(quantised x, W, …)), scales). */
function integerProjection(scope: Scope, value: string): Projection | undefined {
  const mul = scope.maker(value);
  if (!isOp(mul, 'Mul')) return undefined;
  for (const input of mul.inputs) {
    const cast = scope.maker(input);
    const node = isOp(cast, 'Cast') ? scope.maker(cast.inputs[0] ?? '') : undefined;
    if (isOp(node, 'MatMulInteger', 'ConvInteger')) {
      return { node, input: unquantised(scope, node.inputs[0]!), output: value };
    }
  }
  return undefined;
}

function unquantised(scope: Scope, value: string): string {
  const node = scope.maker(value);
  return isOp(node, 'DynamicQuantizeLinear', 'QuantizeLinear') ? node.inputs[0]! : value;
}

/** x of Add(x, bias) with a constant bias, either way round. */
export function withoutBias(scope: Scope, value: string): string | undefined {
  const node = scope.maker(value);
  if (!isOp(node, 'Add')) return undefined;
  const [a, b] = node.inputs as [string, string];
  if (isBias(scope, b)) return a;
  return isBias(scope, a) ? b : undefined;
}

function isBias(scope: Scope, value: string): boolean {
  const rank = scope.rankOf(value);
  return (
    (rank === undefined ||
      rank <= 1 ||
      scope
        .shape(value)!
        .slice(0, -1)
        .every((dim) => dim === 1)) &&
    isWeight(scope, value)
  );
}
