/**
 * Rotary position embedding on the way of q or k: a RotaryEmbedding node, or the rotation written out with cos and
 * sin (half-split as in Llama and NeoX, interleaved as in GPT-J, over all or some channels).
 */
import { intAttribute, type Node } from '../onnx/index.ts';
import { isOp, passedBy } from './paths.ts';
import { singleEntry } from './region.ts';
import type { Scope } from './scope.ts';
import type { Rotary } from './site.ts';

export interface RotaryUse {
  /** The value that is rotated. */
  readonly input: string;
  readonly rotary: Rotary;
  readonly nodes: readonly Node[];
}

const ROTARY_OPS = ['com.microsoft.RotaryEmbedding', 'RotaryEmbedding'];

/** The rotation that yields `value`, if one does. */
export function rotaryOf(scope: Scope, value: string): RotaryUse | undefined {
  const node = scope.maker(value);
  if (!node) return undefined;
  if (isOp(node, ...ROTARY_OPS))
    return { input: node.inputs[0]!, rotary: fromNode(scope, node), nodes: [node] };
  return isOp(node, 'Add', 'Sub', 'Concat', 'Reshape', 'ConcatFromSequence', 'Cast')
    ? writtenOut(scope, value)
    : undefined;
}

function fromNode(scope: Scope, node: Node): Rotary {
  const contrib = node.domain !== '';
  const [cos, sin] = contrib ? [node.inputs[2], node.inputs[3]] : [node.inputs[1], node.inputs[2]];
  const half = cos === undefined ? undefined : scope.shape(cos)?.at(-1);
  const given = intAttribute(node, 'rotary_embedding_dim', 0);
  const dim = given || (typeof half === 'number' ? half * 2 : undefined);
  const tables = contrib || Boolean(node.inputs[3]);
  return { by: 'node', interleaved: intAttribute(node, 'interleaved', 0) === 1, dim, cos, sin, tables };
}

/** Which inputs carry the tensor through the operators a rotation is written with. */
function carried(node: Node): readonly string[] | undefined {
  if (node.domain !== '') return undefined;
  switch (node.opType) {
    case 'Add':
    case 'Sub':
    case 'Mul':
    case 'Concat':
    case 'SequenceConstruct':
      return node.inputs;
    case 'Neg':
    case 'Cast':
    case 'Identity':
    case 'CastLike':
    case 'Slice':
    case 'Split':
    case 'Gather':
    case 'Reshape':
    case 'Transpose':
    case 'Unsqueeze':
    case 'Squeeze':
    case 'Expand':
    case 'ConcatFromSequence':
      return node.inputs.slice(0, 1);
    default:
      return undefined;
  }
}

function writtenOut(scope: Scope, value: string): RotaryUse | undefined {
  const tables: string[] = [];
  const region = singleEntry(scope, value, {
    inputs: carried,
    side(input) {
      if (scope.isConstant(input) && scope.scalar(input) !== undefined) return true;
      const table = isAngleTable(scope, input);
      if (table) tables.push(input);
      return table;
    },
    // Both cos and sin have been met, so the product of either alone is not taken for the whole.
    complete: () => new Set(tables).size >= 2,
  });
  if (!region?.nodes.some((node) => node.opType === 'Mul')) return undefined;
  const named = (op: string) => tables.find((table) => trigonometry(scope, table) === op);
  const interleaved = region.nodes.some((node) => stridesByTwo(scope, node));
  const dim = rotatedWidth(scope, tables, interleaved) ?? slicedWidth(scope, region.entry, region.nodes);
  return {
    input: region.entry,
    rotary: {
      by: 'decomposed',
      interleaved,
      dim,
      cos: named('Cos') ?? tables[1],
      sin: named('Sin') ?? tables[0],
    },
    nodes: region.nodes,
  };
}

/** x[..., ::2], or a view with a last axis of two. */
function stridesByTwo(scope: Scope, node: Node): boolean {
  if (node.opType === 'Slice') return scope.scalar(node.inputs[4] ?? '') === 2;
  if (node.opType !== 'Reshape') return false;
  const shape = scope.shape(node.outputs[0] ?? '');
  return shape !== undefined && shape.length >= 5 && shape.at(-1) === 2;
}

function rotatedWidth(scope: Scope, tables: readonly string[], interleaved: boolean): number | undefined {
  const widths = tables.map((table) => scope.shape(table)?.at(-1)).filter((dim) => typeof dim === 'number');
  const width = Math.max(...widths);
  if (widths.length === 0) return undefined;
  return interleaved && scope.shape(tables[0]!)?.length === 5 ? width * 2 : width;
}

/** Channels cut off for the rotation, x[..., :dim], where tables have no known width. */
function slicedWidth(scope: Scope, entry: string, nodes: readonly Node[]): number | undefined {
  const cut = nodes.find((node) => {
    const fromStart =
      isOp(node, 'Slice') && node.inputs[0] === entry && scope.scalar(node.inputs[1] ?? '') === 0;
    return fromStart && !stridesByTwo(scope, node);
  });
  const width = scope.shape(cut?.outputs[0] ?? '')?.at(-1);
  return typeof width === 'number' ? width : undefined;
}

/** How far back from its use a table may be made. */
const TABLE_DEPTH = 24;

/**
 * Whether a value holds cosines, sines or a gathered table of them: every path back ends in Cos, Sin, a constant,
 * or rows gathered by position, and none in a projection.
 */
function isAngleTable(scope: Scope, value: string): boolean {
  const budget = { left: TABLE_DEPTH };
  return isTable(scope, value, budget);
}

function isTable(scope: Scope, value: string, budget: { left: number }): boolean {
  if (--budget.left < 0) return false;
  if (scope.isConstant(value)) return true;
  const node = scope.maker(value);
  if (!node) {
    if (scope.index.isInput(value) || !scope.parent) return false;
    return isTable(scope.parent, value, budget);
  }
  if (node.domain !== '') return false;
  switch (node.opType) {
    case 'Cos':
    case 'Sin':
      return true;
    case 'Gather':
    case 'GatherElements':
      // cos_cached[position_ids]: rows of a table of at most three axes, chosen by a computed index.
      return isTable(scope, node.inputs[0]!, budget) || isInputTable(scope, node.inputs[0]!);
    case 'Unsqueeze':
    case 'Squeeze':
    case 'Cast':
    case 'Identity':
    case 'CastLike':
    case 'Reshape':
    case 'Transpose':
    case 'Expand':
    case 'Slice':
    case 'Split':
    case 'Neg':
    case 'Tile':
      return isTable(scope, node.inputs[0]!, budget);
    case 'Mul':
    case 'Concat':
    case 'Div':
      return node.inputs.every((input) => isTable(scope, input, budget));
    default: {
      const passed = passedBy(scope, value);
      return passed !== undefined && isTable(scope, passed, budget);
    }
  }
}

/** A cos or sin table handed in as graph input (weights as inputs). */
function isInputTable(scope: Scope, value: string): boolean {
  let at = value;
  for (let node = scope.maker(at); node; node = scope.maker(at)) {
    if (!isOp(node, 'Cast', 'Identity', 'Slice', 'Squeeze')) return false;
    at = node.inputs[0] ?? '';
  }
  const shape = scope.shape(at);
  return scope.index.isInput(at) && shape !== undefined && shape.length <= 4;
}

function trigonometry(scope: Scope, value: string): string | undefined {
  let at = value;
  for (let steps = 0; steps < TABLE_DEPTH; steps++) {
    const node = scope.maker(at);
    if (!node) return undefined;
    if (node.opType === 'Cos' || node.opType === 'Sin') return node.opType;
    const constantFirst = node.opType === 'Mul' && scope.isConstant(node.inputs[0] ?? '');
    at = node.inputs[constantFirst ? 1 : 0] ?? '';
  }
  return undefined;
}
