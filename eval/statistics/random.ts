/**
 * Seeded uniform integers for resampling: xoshiro128** (Blackman and Vigna, 2018), its state filled by splitmix32.
 * The same seed gives the same stream on every machine.
 */

/** Integers uniform in [0, bound), bound ≤ 2^32, without modulo bias to 2^-32. */
export type UniformInteger = (bound: number) => number;

export function uniformIntegers(seed: string): UniformInteger {
  let z = seedOf(seed);
  const state = new Int32Array(4).map(() => {
    z = (z + 0x9e3779b9) | 0;
    let t = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    t = Math.imul(t ^ (t >>> 15), 0x735a2d97);
    return t ^ (t >>> 15);
  });
  let [a, b, c, d] = state as unknown as [number, number, number, number];
  const rotate = (x: number, k: number) => (x << k) | (x >>> (32 - k));
  return (bound) => {
    const value = Math.imul(rotate(Math.imul(b, 5), 7), 9) >>> 0;
    const t = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= t;
    d = rotate(d, 11);
    return Math.floor((value / 0x1_0000_0000) * bound);
  };
}

/** FNV-1a with murmur3's finaliser. */
function seedOf(seed: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < seed.length; i++) h = Math.imul(h ^ seed.charCodeAt(i), 0x01000193);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}
