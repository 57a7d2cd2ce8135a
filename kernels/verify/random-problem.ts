/** Random problems for property tests: any shapes, masks and edits, as fast-check arbitraries. */
import fc from 'fast-check';
import { AttuneError } from '../../errors.ts';
import { halfToNumber, numberToHalf } from '../../onnx/index.ts';
import type { EditRow } from '../edits/edit.ts';
import type { AppliedEdit, Problem } from '../problem.ts';
import { build, type Tensor, tensor, zeros } from '../reference/tensor.ts';

export interface RandomOptions {
  /** One of them acts; undefined: none. */
  readonly edits: readonly (EditRow | undefined)[];
  /** Features the lowering under test has. */
  readonly softcap?: boolean;
  readonly window?: boolean;
  readonly headSink?: boolean;
  readonly padding?: 'none' | 'left' | 'any';
  readonly maxT?: number;
  readonly headDims?: readonly number[];
  /** Size of the pool of sites; at least one for each edit. */
  readonly sites?: number;
}

/** A cheap generator with a seed (mulberry32), so that a failing case is a handful of numbers. */
function randomly(seed: number, grid: (x: number) => number) {
  let state = seed >>> 0;
  const uniform = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  /** About normal, and on the grid of the type a graph computes in, so that both sides start from the same numbers. */
  const normal = () => grid(uniform() + uniform() + uniform() + uniform() - 2);
  return {
    uniform,
    filled: (...shape: number[]): Tensor => {
      const { data } = zeros(...shape);
      for (let i = 0; i < data.length; i++) data[i] = normal();
      return { shape, data };
    },
    pick: (n: number) => Math.floor(uniform() * n),
  };
}

interface SiteRecipe {
  readonly K: number;
  readonly group: number;
  readonly D: number;
  readonly edit: EditRow | undefined;
  readonly padding: 'none' | 'left' | 'right';
  readonly window: number | undefined;
  readonly softcap: number | undefined;
  readonly sink: boolean;
  readonly cached: boolean;
}

/** What a graph is made for: drawn from a small pool, so that sessions are reused over many shapes. */
function randomSite(options: RandomOptions): fc.Arbitrary<Omit<SiteRecipe, 'edit'>> {
  const { headDims = [8, 16, 24, 64, 128], padding = 'none' } = options;
  return fc.record({
    K: fc.constantFrom(1, 2, 3, 4),
    group: fc.constantFrom(1, 2, 4),
    D: fc.constantFrom(...headDims),
    padding: fc.constantFrom('none' as const, ...PADDINGS[padding]),
    window: options.window
      ? fc.option(fc.integer({ min: 1, max: 80 }), { nil: undefined })
      : fc.constant(undefined),
    softcap: options.softcap ? fc.option(fc.constantFrom(2, 30), { nil: undefined }) : fc.constant(undefined),
    sink: options.headSink ? fc.boolean() : fc.constant(false),
    cached: fc.boolean(),
  });
}

const PADDINGS = { none: [], left: ['left'], any: ['left', 'right'] } as const;

/** Scores of one problem, H·S·T per batch row, that keep the float64 side quick. */
const MOST_SCORES = 12_000;

/** A problem as a handful of numbers: what a failing property prints. */
export interface Recipe {
  readonly site: SiteRecipe;
  readonly B: number;
  readonly S: number;
  readonly past: number;
  readonly seed: number;
}

/** Edits take turns: one that chance left out would be tried by nobody, and waited for without end by who filters for it. */
function poolOf(options: RandomOptions, sites: number): SiteRecipe[] {
  const { edits } = options;
  const drawn = fc.sample(randomSite(options), { numRuns: Math.max(sites, edits.length), seed: 20240917 });
  return drawn.map((site, i) => ({ ...site, edit: edits[i % edits.length] }));
}

/** B 1–3, H 1–16 with K | H, S 1–70, T up to `maxT`. */
export function recipes(options: RandomOptions): fc.Arbitrary<Recipe> {
  const { maxT = 300, sites = 24 } = options;
  const pool = poolOf(options, sites);
  return fc
    .record({
      site: fc.constantFrom(...pool),
      B: fc.integer({ min: 1, max: 3 }),
      S: fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 70 })),
      past: fc.integer({ min: 1, max: maxT }),
      seed: fc.integer({ min: 0, max: 2 ** 31 }),
    })
    .map((recipe) => {
      const H = recipe.site.K * recipe.site.group;
      const S = Math.min(recipe.S, Math.floor(Math.sqrt(MOST_SCORES / H)));
      const room = Math.min(maxT, Math.floor(MOST_SCORES / (H * S))) - S;
      return { ...recipe, S, past: recipe.site.cached ? Math.max(1, Math.min(recipe.past, room)) : 0 };
    });
}

/** @param precision whose numbers q, k, v and a head sink are */
export function problemOf(
  { site, B, S, past, seed }: Recipe,
  precision: 'float32' | 'float16' = 'float32',
): Problem {
  const { K, group, D, edit, padding, window, softcap, sink } = site;
  const random = randomly(seed, precision === 'float32' ? Math.fround : (x) => halfToNumber(numberToHalf(x)));
  const H = K * group;
  const T = past + S;
  const [q, k, v] = [random.filled(B, H, S, D), random.filled(B, K, T, D), random.filled(B, K, T, D)];
  const pads = Array.from({ length: B }, () => (padding === 'none' ? 0 : random.pick(Math.min(T, 9))));
  const keys = build([B, T], (b, t) => Number(padding === 'right' ? t! < T - pads[b]! : t! >= pads[b]!));
  const first = pads.map((n) => (padding === 'right' ? 0 : n));
  return {
    q,
    k,
    v,
    softcap,
    headSink: sink ? random.filled(H) : undefined,
    mask: { window, keys: padding === 'none' ? undefined : keys },
    edits: edit ? [randomEdit(edit, random, [B, H, S, T], first)] : [],
  };
}

function randomEdit(
  row: EditRow,
  random: ReturnType<typeof randomly>,
  [B, H, S, T]: readonly [number, number, number, number],
  first: readonly number[],
): AppliedEdit {
  const { uniform } = random;
  const filled = (shape: readonly number[], value = uniform) => build(shape, () => value());
  const draw = { B, H, S, T, first: tensor([B], first), uniform, tensor: filled };
  if (!row.random) {
    throw new AttuneError('LOWERING_LACKS_EDIT', {
      found: `edit '${row.kind}'`,
      expected: 'one that can be drawn at random',
    });
  }
  const { options, values } = row.random(draw);
  return { edit: { row, options }, values };
}
