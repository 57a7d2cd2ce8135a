/** Shapes after operators that rearrange, cut, join or repeat. */
import { intAttribute, intsAttribute, type Node } from '../onnx/index.ts';
import type { Content } from './arithmetic.ts';
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
import { isRank, normalAxis, type ShapeOperands, type ShapeRule, sortedAxes } from './shape-rule.ts';

const transpose: ShapeRule = ({ shape }, node) => {
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

const reshape: ShapeRule = (operands, node) => {
  const target = operands.content(1) ?? intsAttribute(node, 'shape');
  if (target) return [reshaped(operands, target, operands.shape(0), node)];
  const rank = operands.shape(1)?.[0];
  return isRank(rank) ? [Array.from({ length: rank }, (_, axis) => operands.unknown(0, axis))] : undefined;
};

const unsqueeze: ShapeRule = ({ shape, ints }) => {
  const input = shape(0);
  const axes = ints(1, 'axes');
  if (!input || !axes) return undefined;
  const result = [...input];
  for (const axis of sortedAxes(axes, input.length + axes.length)) result.splice(axis, 0, 1);
  return [result];
};

const squeeze: ShapeRule = ({ shape, ints }, node) => {
  const input = shape(0);
  if (!input) return undefined;
  const given = ints(1, 'axes');
  if (!given && node.inputs[1]) return undefined;
  const axes = given ? sortedAxes(given, input.length) : input.flatMap((dim, i) => (dim === 1 ? [i] : []));
  return [input.filter((_, i) => !axes.includes(i))];
};

const concat: ShapeRule = (operands, node) => {
  const first = operands.shape(0);
  if (!first || first.length === 0) return undefined;
  const axis = normalAxis(intAttribute(node, 'axis', 0), first.length);
  let total: Dim | undefined = 0;
  for (let i = 0; i < node.inputs.length; i++) {
    const dim: Dim | undefined = operands.shape(i)?.[axis];
    total = total === undefined || dim === undefined ? undefined : sum(total, dim);
  }
  return [first.with(axis, total ?? operands.unknown(0, axis))];
};

const split: ShapeRule = (operands, node) => {
  const input = operands.shape(0);
  if (!input || input.length === 0) return undefined;
  const axis = normalAxis(intAttribute(node, 'axis', 0), input.length);
  const parts = operands.ints(1, 'split');
  const count = intAttribute(node, 'num_outputs', node.outputs.length);
  return node.outputs.map((_, i) => {
    const part = parts ? parts[i] : quotient(input[axis]!, count);
    return input.with(axis, part ?? operands.unknown(i, axis));
  });
};

/** int64 maximum and the like: "to the end". */
const FAR = 2 ** 31 - 1;

const slice: ShapeRule = (operands, node) => {
  const input = operands.shape(0);
  const starts = operands.content(1) ?? intsAttribute(node, 'starts');
  const ends = operands.content(2) ?? intsAttribute(node, 'ends');
  if (!input || !starts || !ends) return input && [input.map((_, i) => operands.unknown(0, i))];
  const axes = operands.ints(3, 'axes') ?? starts.map((_, i) => i);
  const steps = node.inputs[4] ? operands.content(4) : undefined;
  const result = [...input];
  axesInOrder(axes, input.length).forEach((axis, i) => {
    if (result[axis] === undefined) return;
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

const gather: ShapeRule = ({ shape }, node) => {
  const data = shape(0);
  const indices = shape(1);
  if (!data || !indices || data.length === 0) return undefined;
  const axis = normalAxis(intAttribute(node, 'axis', 0), data.length);
  return [[...data.slice(0, axis), ...indices, ...data.slice(axis + 1)]];
};

const expand: ShapeRule = (operands) => {
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

const tile: ShapeRule = (operands) => {
  const input = operands.shape(0);
  const repeats = operands.content(1);
  if (!input || !repeats) return input && [input.map((_, i) => operands.unknown(0, i))];
  return [
    input.map((dim, i) => (repeats[i] === undefined ? operands.unknown(0, i) : product([dim, repeats[i]]))),
  ];
};

const pad: ShapeRule = (operands) => {
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

const flatten: ShapeRule = ({ shape }, node) => {
  const input = shape(0);
  const axis = intAttribute(node, 'axis', 1);
  return input && [[product(input.slice(0, axis)), product(input.slice(axis))]];
};

/** By operator type, default domain. */
export const VIEW_SHAPES: Readonly<Record<string, ShapeRule>> = {
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
  Tile: tile,
  Pad: pad,
};
