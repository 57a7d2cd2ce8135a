/** What may be left out of OPERA's candidates, against a step in which all of them are run. */
import { expect, test } from 'vitest';
import { bestOf, type Extension, largestLogits } from '../../hooks/model/decoding/index.ts';
import { type Candidate, plausible } from './candidates.ts';
import { chargedLogProbabilities } from './penalty.ts';

const BEAMS = 5;
const CANDIDATES = 5;
const V = 12;
const eos = new Set([3]);

/** mulberry32 */
function random(seed: number) {
  let a = seed;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

function step(seed: number) {
  const next = random(seed);
  const beams = Array.from({ length: BEAMS }, () => ({
    score: -4 * next(),
    logits: Float32Array.from({ length: V }, () => 8 * next()),
  }));
  const all = beams.flatMap(({ logits }, beam) =>
    largestLogits(logits, CANDIDATES).map((token) => ({ beam, token })),
  );
  return { beams, all, next };
}

const key = ({ beam, token }: Candidate) => `${beam} ${token}`;

/** The best extensions, as in search.ts; those that were left out are in the normaliser only. */
function survivors(
  { beams }: Pick<ReturnType<typeof step>, 'beams'>,
  run: readonly Candidate[],
  skipped: readonly Candidate[],
  charge: (one: Candidate) => number,
): string[] {
  const extensions = beams.flatMap(({ score, logits }, beam): Extension[] => {
    const own = run.filter((one) => one.beam === beam);
    const others = skipped.filter((one) => one.beam === beam);
    const scores = chargedLogProbabilities(
      [...own, ...others].map(({ token }) => logits[token]!),
      [...own.map(charge), ...others.map(() => 0)],
      { alpha: 1 },
    );
    return own.map((one, i) => ({ ...one, score: score + scores[i]! }));
  });
  const best = bestOf(extensions, 2 * BEAMS);
  return best
    .filter(({ token }) => !eos.has(token))
    .slice(0, BEAMS)
    .map(key);
}

const rules = (plausibility: number) => ({ plausibility, beams: BEAMS, eos });

test('0 runs all candidates, in their order', () => {
  const { beams, all } = step(1);
  const { run, skipped } = plausible(beams, all, rules(0));
  expect(run).toBe(all);
  expect(skipped).toEqual([]);
});

test('what is run is what beam search would keep, the likeliest of each beam, and what comes near', () => {
  const rows: number[] = [];
  for (let seed = 0; seed < 200; seed++) {
    const { beams, all } = step(seed);
    const strict = plausible(beams, all, rules(1));
    const kept = survivors({ beams }, all, [], () => 0);
    expect(strict.run.map(key)).toEqual(expect.arrayContaining(kept));
    expect(new Set(strict.run.map(({ beam }) => beam)).size).toBe(BEAMS);
    expect([...strict.run, ...strict.skipped]).toHaveLength(all.length);
    const loose = plausible(beams, all, rules(0.1)).run.map(key);
    expect(loose).toEqual(expect.arrayContaining(strict.run.map(key)));
    rows.push(strict.run.length);
  }
  expect(Math.max(...rows)).toBeLessThan(BEAMS * CANDIDATES);
});

test('uncharged, nothing changes that is kept', () => {
  for (let seed = 0; seed < 200; seed++) {
    const { beams, all } = step(seed);
    const { run, skipped } = plausible(beams, all, rules(1));
    expect(survivors({ beams }, run, skipped, () => 0)).toEqual(survivors({ beams }, all, [], () => 0));
  }
});

test('charges that differ by at most c leave out none that would have been kept at e^(−2c)', () => {
  let left = 0;
  for (let seed = 0; seed < 500; seed++) {
    const { beams, all, next } = step(seed);
    const c = next();
    const charges = new Map(all.map((one) => [key(one), -c * next()]));
    const { run, skipped } = plausible(beams, all, rules(Math.exp(-2 * c)));
    const names = run.map(key);
    for (const one of survivors({ beams }, all, [], (one) => charges.get(key(one))!)) {
      expect(names).toContain(one);
    }
    left += skipped.length;
  }
  expect(left).toBeGreaterThan(1000);
});
