/**
 * Dimensions that may be symbols: products, quotients and sums, enough to follow the shape arithmetic exporters
 * write around Reshape. A symbol stands for one unknown size; the same symbol is the same size.
 */

/** A size, or a symbol; a product of symbols is written 'a*b' with its factors sorted, '2*a' with a coefficient. */
export type Dim = number | string;
export type Shape = readonly Dim[];

/** Sums longer than this are not worth carrying; they become symbols of their own. */
const LONGEST = 96;

/** Longer products are carried as one symbol: repeated squaring doubles them at every node. */
const LONGEST_PRODUCT = 1024;

interface Factors {
  coefficient: number;
  symbols: string[];
}

/** A declared symbol as a Dim. 'past + new' is read as the sum it says; other operator characters are no arithmetic. */
export function symbol(name: string): Dim {
  if (/^\w+( \+ \w+)+$/.test(name)) return writtenSum(name.split(' + '), 0) ?? name;
  return /^\d+$/.test(name) ? `_${name}` : name.replaceAll('*', '×').replaceAll('+', '＋');
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
  const text = coefficient === 1 ? sorted.join('*') : [String(coefficient), ...sorted].join('*');
  return text.length <= LONGEST_PRODUCT ? text : digest(text);
}

/** One symbol for a long product, the same for the same product (FNV-1a over its text, twice). */
function digest(text: string): Dim {
  let [a, b] = [0x811c9dc5, 0x01000193];
  for (let i = 0; i < text.length; i++) {
    a = Math.imul(a ^ text.charCodeAt(i), 0x01000193);
    b = Math.imul(b ^ text.charCodeAt(i), 0x85ebca6b);
  }
  return `?product:${(a >>> 0).toString(36)}${(b >>> 0).toString(36)}`;
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

/** Terms of a sum, which is written '(a+b+1)' with its symbols sorted. */
function terms(dim: Dim): { symbols: string[]; constant: number } {
  if (isNumber(dim)) return { symbols: [], constant: dim };
  if (!dim.startsWith('(') || !dim.endsWith(')')) return { symbols: [dim], constant: 0 };
  const parts = dim.slice(1, -1).split('+');
  const constant = Number(parts.at(-1));
  return Number.isNaN(constant) ? { symbols: parts, constant: 0 } : { symbols: parts.slice(0, -1), constant };
}

function writtenSum(symbols: readonly string[], constant: number): Dim | undefined {
  if (symbols.length === 0) return constant;
  if (symbols.length === 1 && constant === 0) return symbols[0];
  // Sums of products are not carried: their text could be taken for a product of sums.
  if (symbols.some((name) => name.includes('*'))) return undefined;
  const text = `(${[...[...symbols].sort(), ...(constant === 0 ? [] : [constant])].join('+')})`;
  return text.length > LONGEST ? undefined : text;
}

export function sum(a: Dim, b: Dim): Dim | undefined {
  const [x, y] = [terms(a), terms(b)];
  return writtenSum([...x.symbols, ...y.symbols], x.constant + y.constant);
}

/** a − b where b's symbols are among a's; undefined otherwise. */
export function difference(a: Dim, b: Dim): Dim | undefined {
  if (isNumber(a) && isNumber(b)) return a - b;
  const [x, y] = [terms(a), terms(b)];
  const symbols = [...x.symbols];
  for (const name of y.symbols) {
    const at = symbols.indexOf(name);
    if (at < 0) return undefined;
    symbols.splice(at, 1);
  }
  return writtenSum(symbols, x.constant - y.constant);
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
