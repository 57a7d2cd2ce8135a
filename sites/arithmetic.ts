/**
 * Contents of small tensors as far as the file determines them: the Shape, Gather, Concat, Div, Where … chains
 * that exporters put in front of Reshape and around the attention scale. An element is a number, a symbol (a
 * dimension), or undefined.
 */
import { intAttribute, type Node } from '../onnx/index.ts';
import { type Dim, difference, isNumber, product, quotient, type Shape, sum } from './dims.ts';

export type Content = readonly (Dim | undefined)[];

/** What the evaluation may ask about a node's inputs. */
export interface Operands {
  content(input: number): Content | undefined;
  shape(input: number): Shape | undefined;
  ints(input: number, attribute: string): readonly number[] | undefined;
  /** The element of attribute `value`. */
  fill(): number;
  /** Whether the first input holds integers, whose division truncates. */
  integral(): boolean;
}

/** Longer tensors are data, not shape arithmetic. */
export const LONGEST_CONTENT = 64;

type Element = Dim | undefined;
type Rule = (operands: Operands, node: Node) => Content | undefined;

function unary(apply: (x: number) => number): Rule {
  return ({ content }) => content(0)?.map((x) => (isNumber(x) ? apply(x) : undefined));
}

function binary(apply: (a: Dim, b: Dim) => Element): Rule {
  return ({ content }) => {
    const a = content(0);
    const b = content(1);
    if (!a || !b) return undefined;
    if (a.length !== b.length && a.length !== 1 && b.length !== 1) return undefined;
    return Array.from(
      { length: a.length === 0 || b.length === 0 ? 0 : Math.max(a.length, b.length) },
      (_, i) => {
        const x = a[a.length === 1 ? 0 : i];
        const y = b[b.length === 1 ? 0 : i];
        return x === undefined || y === undefined ? undefined : apply(x, y);
      },
    );
  };
}

function numeric(apply: (a: number, b: number) => number): Rule {
  return binary((a, b) => (isNumber(a) && isNumber(b) ? apply(a, b) : undefined));
}

const same: Rule = ({ content }) => content(0);

/** Symbols are sizes, and sizes are not negative: enough to settle the comparison with −1 that Expand targets use. */
const equal: Rule = binary((a, b) => {
  if (a === b) return 1;
  if (isNumber(a) && isNumber(b)) return 0;
  return (isNumber(a) && a < 0) || (isNumber(b) && b < 0) ? 0 : undefined;
});

const where: Rule = ({ content }) => {
  const [condition, yes, no] = [content(0), content(1), content(2)];
  if (!condition || !yes || !no) return undefined;
  const length = Math.max(condition.length, yes.length, no.length);
  const pick = (list: Content, i: number) => list[list.length === 1 ? 0 : i];
  return Array.from({ length }, (_, i) => {
    const chosen = pick(condition, i);
    if (!isNumber(chosen)) return undefined;
    return chosen ? pick(yes, i) : pick(no, i);
  });
};

const gather: Rule = ({ content, shape }, node) => {
  const data = content(0);
  const indices = content(1);
  if (!data || !indices || shape(0)?.length !== 1 || intAttribute(node, 'axis', 0) > 0) return undefined;
  return indices.map((i) => (isNumber(i) ? data.at(i) : undefined));
};

const slice: Rule = ({ content, shape, ints }, node) => {
  const data = content(0);
  const starts = ints(1, 'starts');
  const ends = ints(2, 'ends');
  const steps = node.inputs[4] ? content(4) : [1];
  if (!data || shape(0)?.length !== 1 || starts?.length !== 1 || ends?.length !== 1) return undefined;
  return steps?.[0] === 1 ? data.slice(starts[0], ends[0]) : undefined;
};

const concat: Rule = ({ content, shape }, node) => {
  const parts: Element[] = [];
  for (let i = 0; i < node.inputs.length; i++) {
    const [length, ...more] = shape(i) ?? [];
    const vector = more.length === 0 && isNumber(length) && length >= 0 && length <= LONGEST_CONTENT;
    const part = content(i) ?? (vector ? new Array<Element>(length).fill(undefined) : undefined);
    if (!part || parts.length > LONGEST_CONTENT) return undefined;
    parts.push(...part);
  }
  return parts;
};

const shapeOf: Rule = ({ shape }, node) =>
  shape(0)?.slice(intAttribute(node, 'start', 0), intAttribute(node, 'end', Number.MAX_SAFE_INTEGER));

const constantOfShape: Rule = ({ content, fill }) => {
  const dims = content(0);
  const count = dims && product(dims.map((dim) => dim ?? '?'));
  return isNumber(count) && count >= 0 && count <= LONGEST_CONTENT
    ? Array.from({ length: count }, fill)
    : undefined;
};

const range: Rule = ({ content }) => {
  const [start, limit, delta] = [content(0)?.[0], content(1)?.[0], content(2)?.[0]];
  if (!isNumber(start) || !isNumber(limit) || !isNumber(delta) || delta === 0) return undefined;
  const length = Math.max(0, Math.ceil((limit - start) / delta));
  return length <= LONGEST_CONTENT ? Array.from({ length }, (_, i) => start + i * delta) : undefined;
};

const divide: Rule = (operands, node) => {
  const whole = operands.integral();
  return binary((a, b) => {
    if (!isNumber(a) || !isNumber(b)) return quotient(a, b);
    return whole ? Math.trunc(a / b) : a / b;
  })(operands, node);
};

const cast: Rule = ({ content }, node) => {
  const to = intAttribute(node, 'to', 1);
  const integral = to === 6 || to === 7;
  return content(0)?.map((x) => (isNumber(x) && integral ? Math.trunc(x) : x));
};

const size: Rule = ({ shape }) => {
  const dims = shape(0);
  return dims && [product(dims)];
};

const RULES: Record<string, Rule> = {
  Identity: same,
  Cast: cast,
  CastLike: same,
  Unsqueeze: same,
  Squeeze: same,
  Reshape: same,
  Flatten: same,
  Dropout: same,
  Neg: unary((x) => -x),
  Abs: ({ content }) => content(0)?.map((x) => (isNumber(x) ? Math.abs(x) : x)),
  Sqrt: unary(Math.sqrt),
  Reciprocal: unary((x) => 1 / x),
  Floor: unary(Math.floor),
  Ceil: unary(Math.ceil),
  Not: unary((x) => (x ? 0 : 1)),
  Add: binary(sum),
  Sub: binary(difference),
  Mul: binary((a, b) => product([a, b])),
  Div: divide,
  Pow: numeric((a, b) => a ** b),
  Mod: numeric((a, b) => a % b),
  Max: numeric(Math.max),
  Min: numeric(Math.min),
  And: numeric((a, b) => (a && b ? 1 : 0)),
  Or: numeric((a, b) => (a || b ? 1 : 0)),
  Equal: equal,
  Less: numeric((a, b) => (a < b ? 1 : 0)),
  Greater: numeric((a, b) => (a > b ? 1 : 0)),
  LessOrEqual: numeric((a, b) => (a <= b ? 1 : 0)),
  GreaterOrEqual: numeric((a, b) => (a >= b ? 1 : 0)),
  Where: where,
  Gather: gather,
  Slice: slice,
  Concat: concat,
  Shape: shapeOf,
  Size: size,
  ConstantOfShape: constantOfShape,
  Range: range,
  ReduceProd: ({ content }) => {
    const all = content(0);
    return all?.every((x) => x !== undefined) ? [product(all as Dim[])] : undefined;
  },
};

/** Contents of the first output, or undefined where the file does not determine them. */
export function evaluate(node: Node, operands: Operands): Content | undefined {
  if (node.domain !== '') return undefined;
  const content = RULES[node.opType]?.(operands, node);
  return content && content.length <= LONGEST_CONTENT ? content : undefined;
}
