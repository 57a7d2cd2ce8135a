/**
 * Which axis of a tensor is which: letters per axis, followed backwards through Transpose and Reshape.
 * Letters: B batch, S positions, H heads, K and G for kv head and repetition where H is taken apart, D channels.
 */
import { type Dim, product, quotient, type Shape } from './dims.ts';
import type { Layout } from './site.ts';

/** One string of letters per axis; '' for an axis of size 1 without meaning. */
export type Axes = readonly string[];

const LAYOUTS: readonly Layout[] = [
  'BSHD',
  'BHSD',
  'BHDS',
  'BS(HD)',
  '(BS)(HD)',
  '(BH)SD',
  '(BH)DS',
  'B(HD)S',
  'BHST',
  '(BH)ST',
];

/** 'BS(HD)' as ['B', 'S', 'HD']. */
export function axesOf(layout: Layout): Axes {
  return [...layout.matchAll(/\((\w+)\)|(\w)/g)].map((match) => match[1] ?? match[2]!);
}

/** The named layout the axes are; undefined for one without a name. */
export function layoutOf(axes: Axes | undefined): Layout | undefined {
  const text = axes?.map((letters) => (letters.length > 1 ? `(${letters})` : letters)).join('');
  return LAYOUTS.find((layout) => layout === text);
}

/** Axes before a Transpose, given those after it. */
export function beforeTranspose(axes: Axes, perm: readonly number[]): Axes | undefined {
  if (perm.length !== axes.length || perm.some((axis) => axes[axis] === undefined)) return undefined;
  const before: string[] = new Array(axes.length).fill('');
  perm.forEach((from, to) => {
    before[from] = axes[to]!;
  });
  return before;
}

/** Ways to spread letters over fewer axes than there are letters, or more; the usual one first. */
const SPREAD: Record<string, readonly Axes[]> = {
  H: [['K', 'G']],
  HD: [['K', 'G', 'D']],
  BHD: [
    ['B', 'HD'],
    ['BH', 'D'],
  ],
  BSHD: [
    ['B', 'S', 'HD'],
    ['B', 'SH', 'D'],
    ['BS', 'H', 'D'],
    ['BS', 'HD'],
    ['BSH', 'D'],
  ],
  BSH: [
    ['BS', 'H'],
    ['B', 'SH'],
  ],
  SHD: [
    ['S', 'HD'],
    ['SH', 'D'],
  ],
  BHSD: [['BH', 'S', 'D']],
  BHS: [['BH', 'S']],
};

/** Letters over `run` axes; an axis with the letters of a known one must have its size. */
function spread(letters: string, run: readonly Dim[], known: ReadonlyMap<string, Dim>): Axes | undefined {
  if (run.length === 1) return [letters];
  if (letters.length === run.length) return [...letters];
  const fits = (axes: Axes) => axes.every((group, i) => (known.get(group) ?? run[i]) === run[i]);
  return SPREAD[letters]?.find((axes) => axes.length === run.length && fits(axes));
}

/**
 * Axes before a Reshape, given those after it: runs of axes with equal element counts correspond. Undefined when
 * the shapes do not determine the correspondence.
 */
export function beforeReshape(
  axes: Axes,
  after: Shape | undefined,
  before: Shape | undefined,
): Axes | undefined {
  if (!after || !before || after.length !== axes.length) return undefined;
  const result: string[] = [];
  let a = 0;
  let b = 0;
  while (a < after.length || b < before.length) {
    const afterRun: Dim[] = [];
    const beforeRun: Dim[] = [];
    const start = a;
    do {
      const over = product(afterRun);
      const under = product(beforeRun);
      const needAfter =
        beforeRun.length > 0 && (afterRun.length === 0 || quotient(under, over) !== undefined);
      if (a < after.length && (afterRun.length === 0 || needAfter || b >= before.length))
        afterRun.push(after[a++]!);
      else if (b < before.length) beforeRun.push(before[b++]!);
      else if (a < after.length) afterRun.push(after[a++]!);
      else return undefined;
    } while (afterRun.length === 0 || beforeRun.length === 0 || product(afterRun) !== product(beforeRun));
    // Axes of size 1 left over at the end belong to the last run.
    while (b === before.length && a < after.length && after[a] === 1) a++;
    while (a === after.length && b < before.length && before[b] === 1) beforeRun.push(before[b++]!);
    const run = axes.slice(start, a);
    const known = new Map(run.map((letters, i) => [letters, after[start + i]!]));
    const labels = labelled(run.join(''), beforeRun, known);
    if (!labels) return undefined;
    result.push(...labels);
  }
  return result;
}

/** Letters for a run of axes; axes of size 1 go without when there are not enough letters. */
function labelled(letters: string, run: readonly Dim[], known: ReadonlyMap<string, Dim>): Axes | undefined {
  const kept = run.flatMap((dim, i) => (dim === 1 ? [] : [i]));
  // A size that is a symbol has the batch in it: an axis of 1 beside it is none.
  const whole = kept.length === 1 && letters.length > 1 ? known.get(letters) : undefined;
  const merged = typeof whole === 'string' && whole === run[kept[0]!];
  const direct = merged ? undefined : spread(letters, run, known);
  if (direct) return direct;
  const fewer = spread(
    letters,
    kept.map((i) => run[i]!),
    known,
  );
  return fewer && run.map((_, i) => (kept.includes(i) ? fewer[kept.indexOf(i)]! : ''));
}
