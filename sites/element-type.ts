/** Element types followed through operators: declared types cover inputs only in many files. */
import { DataType, findAttribute, intAttribute, type Node } from '../onnx/index.ts';

const BOOLEAN: ReadonlySet<string> = new Set([
  ...[
    'Equal',
    'Less',
    'Greater',
    'LessOrEqual',
    'GreaterOrEqual',
    'And',
    'Or',
    'Xor',
    'Not',
    'IsNaN',
    'IsInf',
  ],
]);

/** Operators whose output has the type of an input other than the first. */
const LIKE_INPUT: Record<string, number> = {
  Where: 1,
  DequantizeLinear: 1,
  QuantizeLinear: 2,
  CastLike: 1,
  EmbedLayerNormalization: 2,
  GatherBlockQuantized: 2,
};

/** Type of the first output. */
export function outputType(node: Node, type: (input: number) => number | undefined): number | undefined {
  const op = node.opType;
  if (op === 'Cast') return intAttribute(node, 'to', DataType.FLOAT);
  if (op === 'Shape' || op === 'Size' || op === 'ArgMax' || op === 'NonZero') return DataType.INT64;
  if (op === 'MatMulInteger') return DataType.INT32;
  if (op === 'DynamicQuantizeLinear') return DataType.UINT8;
  if (op === 'DynamicQuantizeMatMul') return DataType.FLOAT;
  if (op === 'ConstantOfShape') return findAttribute(node, 'value')?.t?.dataType ?? DataType.FLOAT;
  if (BOOLEAN.has(op)) return DataType.BOOL;
  return type(LIKE_INPUT[op] ?? 0) ?? (op === 'QuantizeLinear' ? DataType.UINT8 : undefined);
}
