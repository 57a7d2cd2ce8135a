/**
 * Dimensions that may be symbols: products, quotients and sums, enough to follow the shape arithmetic exporters
 * write around Reshape. A symbol stands for one unknown size; the same symbol is the same size.
 */

/** A size, or a symbol; a product of symbols is written 'a*b' with its factors sorted, '2*a' with a coefficient. */
export type Dim = number | string;
export type Shape = readonly Dim[];

/** Expressions longer than this are not worth carrying; they become symbols of their own. */
const LONGEST = 96;

interface Factors {
  coefficient: number;
  symbols: string[];
}

/** A declared symbol as a Dim; operator characters in it must not be read as arithmetic. */
export function symbol(name: string): Dim {
  return /^\d+$/.test(name) ? `_${name}` : name.replaceAll('*', '×');
}

export function isNumber(dim: Dim | undefined): dim is number {
  return typeof dim === 'number';
}

function factors(dim: Dim): Factors {
  if (isNumber(dim)) return { coefficient: dim, symbols: [] };
  if (!dim.includes('*')) return { coefficient: 1, symbols: [dim] };
  const parts = dim.split('*');
  const coefficient = Number(parts[0]);
  return Number.isNaN(coefficient)
    ? { coefficient: 1, symbols: parts }
    : { coefficient, symbols: parts.slice(1) };
}

function written({ coefficient, symbols }: Factors): Dim {
  if (symbols.length === 0 || coefficient === 0) return coefficient;
  const sorted = symbols.length > 1 ? [...symbols].sort() : symbols;
  return coefficient === 1 ? sorted.join('*') : [String(coefficient), ...sorted].join('*');
}

export function product(dims: Iterable<Dim>): Dim {
  const all: Factors = { coefficient: 1, symbols: [] };
  for (const dim of dims) {
    if (isNumber(dim)) all.coefficient *= dim;
    else {
      const { coefficient, symbols } = factors(dim);
      all.coefficient *= coefficient;
      all.symbols.push(...symbols);
    }
  }
  return written(all);
}

/** a / b where it is known to be whole; undefined otherwise. */
export function quotient(a: Dim, b: Dim): Dim | undefined {
  if (isNumber(a) && isNumber(b)) return b !== 0 && a % b === 0 ? a / b : undefined;
  const over = factors(a);
  const under = factors(b);
  const symbols = [...over.symbols];
  for (const name of under.symbols) {
    const at = symbols.indexOf(name);
    if (at < 0) return undefined;
    symbols.splice(at, 1);
  }
  if (under.coefficient === 0 || over.coefficient % under.coefficient !== 0) return undefined;
  return written({ coefficient: over.coefficient / under.coefficient, symbols });
}

export function sum(a: Dim, b: Dim): Dim | undefined {
  if (isNumber(a) && isNumber(b)) return a + b;
  if (a === 0) return b;
  if (b === 0) return a;
  return bounded(`(${a}+${b})`);
}

export function difference(a: Dim, b: Dim): Dim | undefined {
  if (isNumber(a) && isNumber(b)) return a - b;
  if (a === b) return 0;
  if (b === 0) return a;
  const text = String(a);
  if (text === `(${b}+${text.slice(String(b).length + 2, -1)})`) return text.slice(String(b).length + 2, -1);
  if (text.startsWith('(') && text.endsWith(`+${b})`)) return text.slice(1, -String(b).length - 2);
  return bounded(`(${a}-${b})`);
}

function bounded(text: string): Dim | undefined {
  return text.length > LONGEST ? undefined : text;
}

/** The size of two dimensions broadcast together: where they differ, the one that says more. */
export function broadcast(a: Dim, b: Dim): Dim {
  if (a === 1) return b;
  if (b === 1 || a === b) return a;
  return isNumber(b) || (!isNumber(a) && a.startsWith('?')) ? b : a;
}

export function broadcastShapes(a: Shape, b: Shape): Shape {
  const [long, short] = a.length >= b.length ? [a, b] : [b, a];
  const offset = long.length - short.length;
  return long.map((dim, i) => (i < offset ? dim : broadcast(dim, short[i - offset]!)));
}
