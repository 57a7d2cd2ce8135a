/**
 * Output shapes per operator, in symbols. Only what stands around attention is covered; for other operators the
 * declared shape is used as a hint (scope.ts). Shapes follow the operator specifications of ONNX and ONNX Runtime.
 */
import { intAttribute, intsAttribute, type Node, stringAttribute } from '../onnx/index.ts';
import { broadcastShapes, type Dim, isNumber, product, quotient, type Shape } from './dims.ts';
import { isRank, type ShapeOperands, type ShapeRule, sortedAxes } from './shape-rule.ts';
import { VIEW_SHAPES } from './view-shapes.ts';

const same: ShapeRule = ({ shape }) => [shape(0), shape(0)];

const elementwise: ShapeRule = ({ shape }, node) => {
  let result: Shape | undefined;
  for (let i = 0; i < node.inputs.length; i++) {
    const next = shape(i);
    if (!next) return undefined;
    result = result ? broadcastShapes(result, next) : next;
  }
  return [result];
};

/** Batch dimensions broadcast; a 1-D operand is promoted as the operator says. */
function matmulShape(a: Shape | undefined, b: Shape | undefined): Shape | undefined {
  if (!a || !b || a.length === 0 || b.length === 0) return undefined;
  const rows = a.length === 1 ? [] : [a.at(-2)!];
  const columns = b.length === 1 ? [] : [b.at(-1)!];
  return [...broadcastShapes(a.slice(0, -2), b.slice(0, -2)), ...rows, ...columns];
}

function swapped(shape: Shape | undefined, swap: boolean): Shape | undefined {
  return shape && swap && shape.length >= 2 ? [...shape.slice(0, -2), shape.at(-1)!, shape.at(-2)!] : shape;
}

const fusedMatMul: ShapeRule = ({ shape }, node) => {
  if (intAttribute(node, 'transBatchA', 0) || intAttribute(node, 'transBatchB', 0)) return undefined;
  const a = swapped(shape(0), intAttribute(node, 'transA', 0) === 1);
  return [matmulShape(a, swapped(shape(1), intAttribute(node, 'transB', 0) === 1))];
};

/** [.., K] times quantised weights of N columns. */
const columns =
  (count: (operands: ShapeOperands, node: Node) => Dim | undefined): ShapeRule =>
  (operands, node) => {
    const input = operands.shape(0);
    const n = count(operands, node);
    return input && n !== undefined ? [[...input.slice(0, -1), n]] : undefined;
  };

const weightColumns = columns(({ shape }) => shape(1)?.at(-1));

const reduce: ShapeRule = ({ shape, ints }, node) => {
  const input = shape(0);
  if (!input) return undefined;
  const given = ints(1, 'axes');
  if (!given && node.inputs[1]) return undefined;
  const axes = given ? sortedAxes(given, input.length) : input.map((_, i) => i);
  if (intAttribute(node, 'keepdims', 1) === 1) return [input.map((dim, i) => (axes.includes(i) ? 1 : dim))];
  return [input.filter((_, i) => !axes.includes(i))];
};

const einsum: ShapeRule = ({ shape }, node) => {
  const equation = stringAttribute(node, 'equation')?.replaceAll(' ', '');
  const [left, right] = equation?.split('->') ?? [];
  if (left === undefined || right === undefined || left.includes('.')) return undefined;
  const sizes = new Map<string, Dim>();
  left.split(',').forEach((letters, input) => {
    shape(input)?.forEach((dim, axis) => {
      if (letters[axis] !== undefined) sizes.set(letters[axis], dim);
    });
  });
  const dims = [...right].map((letter) => sizes.get(letter));
  return dims.every((dim) => dim !== undefined) ? [dims] : undefined;
};

const gemm: ShapeRule = ({ shape }, node) => {
  const a = swapped(shape(0), intAttribute(node, 'transA', 0) === 1);
  const b = swapped(shape(1), intAttribute(node, 'transB', 0) === 1);
  return a?.length === 2 && b?.length === 2 ? [[a[0]!, b[1]!]] : undefined;
};

const vector: ShapeRule = ({ content, shape, unknown }, node) => {
  if (node.opType === 'ConstantOfShape') {
    const dims = content(0);
    if (dims) return [dims.map((dim, i) => dim ?? unknown(0, i))];
    const rank = shape(0)?.[0];
    return isRank(rank) ? [Array.from({ length: rank }, (_, i) => unknown(0, i))] : undefined;
  }
  if (node.opType === 'Range') return [[unknown(0, 0)]];
  if (node.opType === 'Size') return [[]];
  const rank = shape(0)?.length;
  if (rank === undefined) return [[unknown(0, 0)]];
  const end = intAttribute(node, 'end', rank);
  return [[Math.max(0, (end < 0 ? end + rank : Math.min(end, rank)) - intAttribute(node, 'start', 0))]];
};

const convolution: ShapeRule = ({ shape, unknown }) => {
  const input = shape(0);
  const weight = shape(1);
  return input && weight && [input.map((dim, i) => (i === 0 ? dim : i === 1 ? weight[0]! : unknown(0, i)))];
};

const skipNorm: ShapeRule = ({ shape }) => [shape(0), undefined, undefined, shape(0)];

/** GroupQueryAttention and MultiHeadAttention keep [B, S, width of q]; packed q, k, v shares its width. */
const groupQuery: ShapeRule = ({ shape }, node) => {
  const query = shape(0);
  if (!query || node.inputs[1]) return [query];
  const heads = intAttribute(node, 'num_heads', 1);
  const width = query.at(-1);
  const all = heads + 2 * intAttribute(node, 'kv_num_heads', heads);
  return isNumber(width) ? [[...query.slice(0, -1), (width * heads) / all]] : undefined;
};

/** ai.onnx Attention: width and head size of v. com.microsoft Attention: the width the weights give to v. */
const attention: ShapeRule = ({ shape }, node) => {
  const [first, second, value] = [shape(0), shape(1), shape(2)];
  if (!first) return undefined;
  if (node.domain !== '') {
    const all = second?.at(-1);
    const width =
      intsAttribute(node, 'qkv_hidden_sizes')?.[2] ?? (all === undefined ? undefined : quotient(all, 3));
    return width === undefined ? undefined : [[...first.slice(0, -1), width]];
  }
  const last = value?.at(-1);
  if (last === undefined) return undefined;
  if (first.length === 4) return [[...first.slice(0, 3), last]];
  const [q, kv] = [intAttribute(node, 'q_num_heads', 1), intAttribute(node, 'kv_num_heads', 1)];
  const perHead = quotient(last, kv);
  return perHead === undefined ? undefined : [[...first.slice(0, 2), product([perHead, q])]];
};

/** Operators whose operands broadcast. */
const ELEMENTWISE =
  'Add Sub Mul Div Pow Mod Max Min And Or Equal Less Greater LessOrEqual GreaterOrEqual Where'.split(' ');

/** Operators whose first output has the shape of the first input. */
const SAME = [
  'Identity Cast CastLike Dropout Neg Abs Sqrt Reciprocal Exp Log Erf Tanh Sigmoid Not IsNaN Clip Floor Ceil Sign',
  'Relu LeakyRelu Elu Selu Gelu FastGelu QuickGelu BiasGelu Softplus HardSigmoid HardSwish Mish Swish Cos Sin CumSum',
  'Softmax LogSoftmax LayerNormalization SimplifiedLayerNormalization RMSNormalization LpNormalization',
  'BatchNormalization InstanceNormalization GroupNormalization RotaryEmbedding Trilu ScatterND TensorScatter',
  'QuantizeLinear DequantizeLinear',
].flatMap((line) => line.split(' '));

const RULES: Readonly<Record<string, ShapeRule>> = {
  ...VIEW_SHAPES,
  ...Object.fromEntries(ELEMENTWISE.map((op) => [op, elementwise])),
  ...Object.fromEntries(SAME.map((op) => [op, same])),
  MatMul: ({ shape }) => [matmulShape(shape(0), shape(1))],
  MatMulInteger: ({ shape }) => [matmulShape(shape(0), shape(1))],
  DynamicQuantizeLinear: ({ shape }) => [shape(0), [], []],
  FusedMatMul: fusedMatMul,
  MatMulNBits: columns((_, node) => intAttribute(node, 'N', 0) || undefined),
  DynamicQuantizeMatMul: weightColumns,
  MatMulIntegerToFloat: weightColumns,
  Gemm: gemm,
  ReduceMean: reduce,
  ReduceSum: reduce,
  ReduceMax: reduce,
  ReduceMin: reduce,
  ReduceProd: reduce,
  ReduceL2: reduce,
  Einsum: einsum,
  Shape: vector,
  Size: vector,
  ConstantOfShape: vector,
  Range: vector,
  Conv: convolution,
  SkipLayerNormalization: skipNorm,
  SkipSimplifiedLayerNormalization: skipNorm,
  GroupQueryAttention: groupQuery,
  Attention: attention,
  MultiHeadAttention: ({ shape }) => {
    const query = shape(0);
    return [query?.length === 5 ? [query[0]!, query[1]!, product([query[2]!, query[4]!])] : query];
  },
};

/** Shapes of all outputs as far as they are known; undefined for operators without a rule. */
export function outputShapes(
  node: Node,
  operands: ShapeOperands,
): readonly (Shape | undefined)[] | undefined {
  return RULES[node.opType]?.(operands, node);
}
