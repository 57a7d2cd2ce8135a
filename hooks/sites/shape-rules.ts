/**
 * Output shapes per operator, in symbols. Only what stands around attention is covered; for other operators the
 * declared shape is used as a hint (scope.ts). Shapes follow the operator specifications of ONNX and ONNX Runtime.
 */
import { intAttribute, intsAttribute, type Node, stringAttribute } from '../onnx/index.ts';
import type { Content, Operands } from './arithmetic.ts';
import {
  broadcastShapes,
  type Dim,
  difference,
  isNumber,
  product,
  quotient,
  type Shape,
  sum,
} from './dims.ts';

export interface ShapeOperands extends Operands {
  /** A symbol of its own for an axis nothing is known about. */
  unknown(output: number, axis: number): Dim;
}

/** Ranks beyond this are damage. */
function isRank(rank: Dim | undefined): rank is number {
  return isNumber(rank) && rank >= 0 && rank <= 8;
}

type Shapes = readonly (Shape | undefined)[];
type Rule = (operands: ShapeOperands, node: Node) => Shapes | undefined;

const same: Rule = ({ shape }) => [shape(0), shape(0)];

const elementwise: Rule = ({ shape }, node) => {
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

const fusedMatMul: Rule = ({ shape }, node) => {
  if (intAttribute(node, 'transBatchA', 0) || intAttribute(node, 'transBatchB', 0)) return undefined;
  const a = swapped(shape(0), intAttribute(node, 'transA', 0) === 1);
  return [matmulShape(a, swapped(shape(1), intAttribute(node, 'transB', 0) === 1))];
};

/** [.., K] times quantised weights of N columns. */
const columns =
  (count: (operands: ShapeOperands, node: Node) => Dim | undefined): Rule =>
  (operands, node) => {
    const input = operands.shape(0);
    const n = count(operands, node);
    return input && n !== undefined ? [[...input.slice(0, -1), n]] : undefined;
  };

const weightColumns = columns(({ shape }) => shape(1)?.at(-1));

const transpose: Rule = ({ shape }, node) => {
  const input = shape(0);
  const perm = intsAttribute(node, 'perm') ?? input?.map((_, i) => input.length - 1 - i);
  if (!input || !perm || perm.length !== input.length) return undefined;
  if (perm.some((axis) => input[axis] === undefined)) return undefined;
  return [perm.map((axis) => input[axis]!)];
};

function reshaped(operands: ShapeOperands, target: Content, input: Shape | undefined, node: Node): Shape {
  const allowZero = intAttribute(node, 'allowzero', 0) === 1;
  const dims = target.map((dim, i): Dim => {
    if (dim === 0 && !allowZero) return input?.[i] ?? operands.unknown(0, i);
    return dim ?? operands.unknown(0, i);
  });
  const open = dims.indexOf(-1);
  if (open >= 0) {
    const rest = product(dims.filter((_, i) => i !== open));
    dims[open] = (input && quotient(product(input), rest)) ?? operands.unknown(0, open);
    return dims;
  }
  // One entry may be unknown to the evaluation but follow from the element count.
  const missing = target.flatMap((dim, i) => (dim === undefined ? [i] : []));
  if (input && missing.length === 1) {
    const rest = product(dims.filter((_, i) => i !== missing[0]));
    dims[missing[0]!] = quotient(product(input), rest) ?? dims[missing[0]!]!;
  }
  return dims;
}

const reshape: Rule = (operands, node) => {
  const target = operands.content(1) ?? intsAttribute(node, 'shape');
  if (target) return [reshaped(operands, target, operands.shape(0), node)];
  const rank = operands.shape(1)?.[0];
  return isRank(rank) ? [Array.from({ length: rank }, (_, axis) => operands.unknown(0, axis))] : undefined;
};

/** Axes as non-negative numbers, sorted. */
function axesOf(axes: readonly number[], rank: number): number[] {
  return axes.map((axis) => (axis < 0 ? axis + rank : axis)).sort((a, b) => a - b);
}

const unsqueeze: Rule = ({ shape, ints }) => {
  const input = shape(0);
  const axes = ints(1, 'axes');
  if (!input || !axes) return undefined;
  const result = [...input];
  for (const axis of axesOf(axes, input.length + axes.length)) result.splice(axis, 0, 1);
  return [result];
};

const squeeze: Rule = ({ shape, ints }, node) => {
  const input = shape(0);
  if (!input) return undefined;
  const given = ints(1, 'axes');
  if (!given && node.inputs[1]) return undefined;
  const axes = given ? axesOf(given, input.length) : input.flatMap((dim, i) => (dim === 1 ? [i] : []));
  return [input.filter((_, i) => !axes.includes(i))];
};

const concat: Rule = (operands, node) => {
  const first = operands.shape(0);
  if (!first) return undefined;
  const axis = normal(intAttribute(node, 'axis', 0), first.length);
  let total: Dim | undefined = 0;
  for (let i = 0; i < node.inputs.length; i++) {
    const dim: Dim | undefined = operands.shape(i)?.[axis];
    total = total === undefined || dim === undefined ? undefined : sum(total, dim);
  }
  return [first.with(axis, total ?? operands.unknown(0, axis))];
};

function normal(axis: number, rank: number): number {
  return Math.min(Math.max(axis < 0 ? axis + rank : axis, 0), Math.max(rank - 1, 0));
}

const split: Rule = (operands, node) => {
  const input = operands.shape(0);
  if (!input || input.length === 0) return undefined;
  const axis = normal(intAttribute(node, 'axis', 0), input.length);
  const parts = operands.ints(1, 'split');
  const count = intAttribute(node, 'num_outputs', node.outputs.length);
  return node.outputs.map((_, i) => {
    const part = parts ? parts[i] : quotient(input[axis]!, count);
    return input.with(axis, part ?? operands.unknown(i, axis));
  });
};

/** int64 maximum and the like: "to the end". */
const FAR = 2 ** 31 - 1;

const slice: Rule = (operands, node) => {
  const input = operands.shape(0);
  const starts = operands.content(1) ?? intsAttribute(node, 'starts');
  const ends = operands.content(2) ?? intsAttribute(node, 'ends');
  if (!input || !starts || !ends) return input && [input.map((_, i) => operands.unknown(0, i))];
  const axes = operands.ints(3, 'axes') ?? starts.map((_, i) => i);
  const steps = node.inputs[4] ? operands.content(4) : undefined;
  const result = [...input];
  axesInOrder(axes, input.length).forEach((axis, i) => {
    if (axis < 0 || axis >= result.length) return;
    const step = node.inputs[4] ? steps?.[i] : 1;
    result[axis] = sliced(result[axis]!, starts[i], ends[i], step) ?? operands.unknown(0, axis);
  });
  return [result];
};

function axesInOrder(axes: readonly number[], rank: number): number[] {
  return axes.map((axis) => (axis < 0 ? axis + rank : axis));
}

function sliced(dim: Dim, start?: Dim, end?: Dim, step?: Dim): Dim | undefined {
  if (start === undefined || end === undefined || !isNumber(step)) return undefined;
  if (isNumber(dim) && isNumber(start) && isNumber(end)) {
    const clamp = (x: number) => Math.min(Math.max(x < 0 ? x + dim : x, 0), dim);
    if (step > 0) return Math.max(0, Math.ceil((clamp(end) - clamp(start)) / step));
    return undefined;
  }
  if (step !== 1) return undefined;
  const toEnd = end === dim || (isNumber(end) && end >= FAR);
  if (toEnd && start === 0) return dim;
  if (toEnd && isNumber(start) && start < 0) return -start;
  if (toEnd) return difference(dim, start);
  if (start === 0 && (!isNumber(end) || end >= 0)) return end;
  return undefined;
}

const gather: Rule = ({ shape }, node) => {
  const data = shape(0);
  const indices = shape(1);
  if (!data || !indices || data.length === 0) return undefined;
  const axis = normal(intAttribute(node, 'axis', 0), data.length);
  return [[...data.slice(0, axis), ...indices, ...data.slice(axis + 1)]];
};

const expand: Rule = (operands) => {
  const input = operands.shape(0);
  const target = operands.content(1);
  if (input && target)
    return [
      broadcastShapes(
        input,
        target.map((dim, i) => dim ?? operands.unknown(0, i)),
      ),
    ];
  const rank = operands.shape(1)?.[0];
  return input && isRank(rank)
    ? [Array.from({ length: Math.max(rank, input.length) }, (_, i) => operands.unknown(0, i))]
    : undefined;
};

const reduce: Rule = ({ shape, ints }, node) => {
  const input = shape(0);
  if (!input) return undefined;
  const given = ints(1, 'axes');
  if (!given && node.inputs[1]) return undefined;
  const axes = given ? axesOf(given, input.length) : input.map((_, i) => i);
  if (intAttribute(node, 'keepdims', 1) === 1) return [input.map((dim, i) => (axes.includes(i) ? 1 : dim))];
  return [input.filter((_, i) => !axes.includes(i))];
};

const tile: Rule = (operands) => {
  const input = operands.shape(0);
  const repeats = operands.content(1);
  if (!input || !repeats) return input && [input.map((_, i) => operands.unknown(0, i))];
  return [
    input.map((dim, i) => (repeats[i] === undefined ? operands.unknown(0, i) : product([dim, repeats[i]]))),
  ];
};

const einsum: Rule = ({ shape }, node) => {
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

const pad: Rule = (operands) => {
  const input = operands.shape(0);
  const pads = operands.content(1);
  if (!input || !pads || pads.length !== 2 * input.length)
    return input && [input.map((_, i) => operands.unknown(0, i))];
  return [
    input.map((dim, i) => {
      const [before, after] = [pads[i], pads[i + input.length]];
      const wider = before === undefined || after === undefined ? undefined : sum(before, after);
      return (wider === undefined ? undefined : sum(dim, wider)) ?? operands.unknown(0, i);
    }),
  ];
};

const flatten: Rule = ({ shape }, node) => {
  const input = shape(0);
  const axis = intAttribute(node, 'axis', 1);
  return input && [[product(input.slice(0, axis)), product(input.slice(axis))]];
};

const gemm: Rule = ({ shape }, node) => {
  const a = swapped(shape(0), intAttribute(node, 'transA', 0) === 1);
  const b = swapped(shape(1), intAttribute(node, 'transB', 0) === 1);
  return a?.length === 2 && b?.length === 2 ? [[a[0]!, b[1]!]] : undefined;
};

const vector: Rule = ({ content, shape, unknown }, node) => {
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

const convolution: Rule = ({ shape, unknown }) => {
  const input = shape(0);
  const weight = shape(1);
  return input && weight && [input.map((dim, i) => (i === 0 ? dim : i === 1 ? weight[0]! : unknown(0, i)))];
};

const skipNorm: Rule = ({ shape }) => [shape(0), undefined, undefined, shape(0)];

/** GroupQueryAttention and MultiHeadAttention keep [B, S, width of q]; packed q, k, v shares its width. */
const groupQuery: Rule = ({ shape }, node) => {
  const query = shape(0);
  if (!query || node.inputs[1]) return [query];
  const heads = intAttribute(node, 'num_heads', 1);
  const width = query.at(-1);
  const all = heads + 2 * intAttribute(node, 'kv_num_heads', heads);
  return isNumber(width) ? [[...query.slice(0, -1), (width * heads) / all]] : undefined;
};

const ELEMENTWISE = [
  'Add',
  'Sub',
  'Mul',
  'Div',
  'Pow',
  'Max',
  'Min',
  'And',
  'Or',
  'Equal',
  'Less',
  'Greater',
  'Where',
];
const SAME = [
  'Identity',
  'Cast',
  'CastLike',
  'Neg',
  'Abs',
  'Sqrt',
  'Reciprocal',
  'Exp',
  'Log',
  'Erf',
  'Tanh',
  'Sigmoid',
];
const SAME_TOO = [
  'Relu',
  'Gelu',
  'FastGelu',
  'QuickGelu',
  'BiasGelu',
  'Softmax',
  'LogSoftmax',
  'Not',
  'IsNaN',
  'Clip',
];
const NORMS = [
  'LayerNormalization',
  'SimplifiedLayerNormalization',
  'RMSNormalization',
  'Dropout',
  'CumSum',
  'Cos',
  'Sin',
];
const WIDTH_KEPT = [
  'RotaryEmbedding',
  'Trilu',
  'ScatterND',
  'QuantizeLinear',
  'DequantizeLinear',
  'Floor',
  'Ceil',
];
const BATCHNORM = [
  'BatchNormalization',
  'InstanceNormalization',
  'GroupNormalization',
  'LpNormalization',
  'Elu',
  'Selu',
];
const ACTIVATIONS = [
  'Softplus',
  'HardSigmoid',
  'HardSwish',
  'LeakyRelu',
  'Mish',
  'Swish',
  'Sign',
  'TensorScatter',
];

const RULES: Record<string, Rule> = {
  ...Object.fromEntries(
    [...ELEMENTWISE, 'LessOrEqual', 'GreaterOrEqual', 'Mod'].map((op) => [op, elementwise]),
  ),
  ...Object.fromEntries(
    [...SAME, ...SAME_TOO, ...NORMS, ...WIDTH_KEPT, ...BATCHNORM, ...ACTIVATIONS].map((op) => [op, same]),
  ),
  MatMul: ({ shape }) => [matmulShape(shape(0), shape(1))],
  MatMulInteger: ({ shape }) => [matmulShape(shape(0), shape(1))],
  DynamicQuantizeLinear: ({ shape }) => [shape(0), [], []],
  FusedMatMul: fusedMatMul,
  MatMulNBits: columns((_, node) => intAttribute(node, 'N', 0) || undefined),
  DynamicQuantizeMatMul: weightColumns,
  MatMulIntegerToFloat: weightColumns,
  Gemm: gemm,
  Transpose: transpose,
  Reshape: reshape,
  Flatten: flatten,
  Unsqueeze: unsqueeze,
  Squeeze: squeeze,
  Concat: concat,
  Split: split,
  Slice: slice,
  Gather: gather,
  Expand: expand,
  ReduceMean: reduce,
  ReduceSum: reduce,
  ReduceMax: reduce,
  ReduceMin: reduce,
  ReduceProd: reduce,
  ReduceL2: reduce,
  Tile: tile,
  Pad: pad,
  Einsum: einsum,
  Shape: vector,
  Size: vector,
  ConstantOfShape: vector,
  Range: vector,
  Conv: convolution,
  SkipLayerNormalization: skipNorm,
  SkipSimplifiedLayerNormalization: skipNorm,
  GroupQueryAttention: groupQuery,
  MultiHeadAttention: ({ shape }) => {
    const query = shape(0);
    return [query?.length === 5 ? [query[0]!, query[1]!, product([query[2]!, query[4]!])] : query];
  },
};

/** Shapes of all outputs as far as they are known; undefined for operators without a rule. */
export function outputShapes(node: Node, operands: ShapeOperands): Shapes | undefined {
  return RULES[node.opType]?.(operands, node);
}
