/**
 * One decoded token through the native runtime, against transformers.js as it is, on the same file: a model of the shape of
 * Qwen2.5-0.5B in 4 bits behind 128 to 4,000 keys. Both sides give the same logits where nothing is on, which is checked.
 */
import { AttuneError } from '../../errors.ts';
import type { Intervention } from '../../hooks/model/index.ts';
import { act, zeroTuning } from '../../interventions/index.ts';
import { compare, paired, type Sample, spread } from '../paired.ts';
import type { Case, Measurement, RunOptions, Suite } from '../suite.ts';
import { Decoder } from './decoder.ts';

const VARIANTS: Readonly<Record<string, () => Intervention[]>> = {
  'nothing on': () => [],
  'one γ': () => [zeroTuning({ gamma: 1.4 })],
  // Row by row: running sums would need the prompt that nobody wrote; they cost a vector of a key each beside.
  'one γ, by the operator': () => [zeroTuning({ gamma: 1.4 })],
  'ACT by row, by the operator': () => [act({ heads: 'all', statistics: 'row' })],
  'ACT by row': () => [act({ heads: 'all', statistics: 'row' })],
};
/** Variants in which the native operator is asked for; the others take the lowering measured cheapest. */
const OPERATOR = /by the operator$/;
/** What the documentation promises of a token, as a part of transformers.js's. */
const BOUNDS = { 128: 0.95, 1024: 0.7, 4000: 0.45 } as const;
type Keys = keyof typeof BOUNDS;
const CONTEXTS: readonly Keys[] = [128, 1024, 4000];

/** Where a session's memory comes to lie makes it faster or slower for as long as it lives: other sessions show it. */
const LOADS = 2;
const TOKENS = 16;

async function decode(variant: string, keys: Keys, { clock, effort }: RunOptions): Promise<Measurement> {
  const samples: [Sample, Sample][] = [];
  for (let load = 0; load < LOADS * effort; load++) {
    const plain = await Decoder.plain(clock);
    const native = await Decoder.attuned(
      clock,
      'native',
      VARIANTS[variant]!(),
      OPERATOR.test(variant) ? 'native' : undefined,
    );
    try {
      await plain.fill(keys);
      await native.fill(keys);
      // The first takes the cache over, the second finds its memory planned.
      await agree(plain, native, variant === 'nothing on');
      let [a, b] = [0, 0];
      samples.push(
        ...(await paired(
          () => plain.token(token(a++)),
          () => native.token(token(b++)),
          { pairs: TOKENS, warmUp: 1 },
        )),
      );
    } finally {
      await plain.dispose();
      await native.dispose();
    }
  }
  const comparison = compare(samples, clock);
  const { baselineMs, ms, ratio } = comparison;
  const other = clock === 'wall' ? 'cpu' : 'wall';
  const note = `${spread(comparison)}; by ${other} clock ${compare(samples, other).ratio.toFixed(3)}`;
  return { baselineMs, ms, ratio, note };
}

const token = (step: number): number => (step * 7919 + 13) % 50_000;

/** @throws AttuneError BENCH_DISAGREES where both sides should give the same bytes and do not */
async function agree(plain: Decoder, native: Decoder, same: boolean): Promise<void> {
  const [a, b] = [await plain.token(7), await native.token(7)];
  const worst = a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);
  if (a.length === b.length && (!same || worst === 0)) return;
  throw new AttuneError('BENCH_DISAGREES', {
    found: `logits that differ by ${worst}`,
    expected: 'the same bytes from both runtimes',
  });
}

const caseOf = (variant: string, keys: Keys): Case => ({
  case: `${variant}, decode ${keys}`,
  bound: BOUNDS[keys],
  run: (options) => decode(variant, keys, options),
});

export const nativeSuite: Suite = {
  name: 'native',
  summary: 'a decoded token through the native runtime against transformers.js, Qwen2.5-0.5B shape in int4',
  cases: Object.keys(VARIANTS).flatMap((variant) => CONTEXTS.map((keys) => caseOf(variant, keys))),
};
