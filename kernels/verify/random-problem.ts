/** Random problems for property tests: any shapes, masks and edits, as fast-check arbitraries. */
import fc from 'fast-check';
import type { Edit, Problem } from '../problem.ts';
import { build, type Tensor } from '../reference/tensor.ts';

export interface RandomOptions {
  readonly edits: readonly Edit['kind'][];
  /** Features the lowering under test has. */
  readonly softcap?: boolean;
  readonly window?: boolean;
  readonly headSink?: boolean;
  readonly padding?: 'none' | 'left' | 'any';
  readonly maxT?: number;
  readonly headDims?: readonly number[];
}

/** A cheap generator with a seed (mulberry32), so that a failing case is a handful of numbers. */
function randomly(seed: number) {
  let state = seed >>> 0;
  const uniform = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  /** About normal, and on float32's grid, so that both sides start from the same numbers. */
  const normal = () => Math.fround(uniform() + uniform() + uniform() + uniform() - 2);
  return {
    uniform,
    filled: (...shape: number[]): Tensor => build(shape, normal),
    pick: (n: number) => Math.floor(uniform() * n),
  };
}

export function randomProblem(options: RandomOptions): fc.Arbitrary<Problem> {
  const { maxT = 300, headDims = [8, 16, 24, 64, 128] } = options;
  return (
    fc
      .record({
        B: fc.integer({ min: 1, max: 3 }),
        K: fc.constantFrom(1, 2, 3, 4),
        group: fc.constantFrom(1, 2, 4),
        S: fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 70 })),
        past: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: Math.max(0, maxT - 70) })),
        D: fc.constantFrom(...headDims),
        edit: fc.constantFrom(...options.edits),
        padding:
          options.padding === 'none'
            ? fc.constant('none')
            : fc.constantFrom('none', 'left', options.padding === 'any' ? 'right' : 'left'),
        window: options.window ? fc.option(fc.integer({ min: 1, max: 80 })) : fc.constant(null),
        softcap: options.softcap ? fc.option(fc.constantFrom(2, 30)) : fc.constant(null),
        sink: options.headSink ? fc.boolean() : fc.constant(false),
        seed: fc.integer(),
      })
      // Three arrays of a few MB at most keep the float64 side quick.
      .map(({ S, past, ...rest }) => ({ ...rest, S, past: S * (S + past) > 6000 ? past % 20 : past }))
      .map(({ B, K, group, S, past, D, edit, padding, window, softcap, sink, seed }) => {
        const random = randomly(seed);
        const H = K * group;
        const T = past + S;
        const [q, k, v] = [random.filled(B, H, S, D), random.filled(B, K, T, D), random.filled(B, K, T, D)];
        const pads = Array.from({ length: B }, () => (padding === 'none' ? 0 : random.pick(Math.min(T, 9))));
        const keys = build([B, T], (b, t) =>
          Number(padding === 'right' ? t! < T - pads[b]! : t! >= pads[b]!),
        );
        const first = pads.map((n) => (padding === 'right' ? 0 : n));
        return {
          q,
          k,
          v,
          softcap: softcap ?? undefined,
          headSink: sink ? random.filled(H) : undefined,
          mask: { window: window ?? undefined, keys: padding === 'none' ? undefined : keys },
          edit: randomEdit(edit, random, [B, H, S, T], first),
        };
      })
  );
}

function randomEdit(
  kind: Edit['kind'],
  random: ReturnType<typeof randomly>,
  [B, H, S, T]: readonly [number, number, number, number],
  first: readonly number[],
): Edit {
  const some = (share: number) => build([B, T], () => Number(random.uniform() < share));
  switch (kind) {
    case 'logits':
      return {
        kind,
        a: build([1, H, 1, 1], () => 0.5 + random.uniform()),
        b: build([B, H, S, T], (_b, _h, s) => (s === S - 1 ? random.uniform() : 0)),
        c: build([B, H, 1, T], () => random.uniform() - 0.5),
      };
    case 'logWeights':
      return { kind, keys: some(0.2), weight: Array.from({ length: H }, () => 4 * random.uniform() + 0.01) };
    case 'heads':
      return { kind, scale: build([B, H], () => 2 * random.uniform()) };
    case 'act':
      return {
        kind,
        heads: [...Array(H).keys()].filter(() => random.uniform() < 0.7),
        beta: random.uniform(),
        // Frozen sinks: found ones may differ at the threshold between float32 and float64.
        threshold: { mode: 'absolute', tau: 0.1 },
        exclude: 'initial',
        stats: 'frozen',
        first,
        sinks: build([B, H, T], () => Number(random.uniform() < 0.1)),
      };
    case 'var':
      return {
        kind,
        p: random.uniform(),
        // Gates no row is near: the test itself is a threshold, tried on golden vectors that keep a margin.
        rho: random.uniform() < 0.5 ? 0 : 1.5,
        minVisual: 0,
        semantics: 'paper',
        sink: some(0.1),
        visual: some(0.4),
        eligible: build([B, S], () => 1),
      };
    case 'none':
    case 'segments':
      return { kind: 'none' };
  }
}
