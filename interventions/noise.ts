/** Forward diffusion of a picture, as VCD uses it, and the seeded normal numbers that it takes. */

const STEPS = 1000;

/**
 * ᾱ_n = Π_{i=0..n} (1 − β_i), β_i = σ(x_i)(0.005 − 1e-5) + 1e-5, x from −6 to 6 in 1,000 steps (VCD's own code): the share of
 * the picture's variance that is left at step n, counted from 0.
 */
export function remainingSignal(step: number): number {
  let product = 1;
  for (let i = 0; i <= step; i++) {
    const x = -6 + (12 * i) / (STEPS - 1);
    product *= 1 - ((0.5e-2 - 1e-5) / (1 + Math.exp(-x)) + 1e-5);
  }
  return product;
}

/**
 * v' = √ᾱ v + √(1 − ᾱ) ε, ε ~ N(0,1), drawn once. The same picture and seed give the same noise, different pictures different
 * noise.
 *
 * @param pixels one preprocessed picture
 */
export function diffused(pixels: Float32Array, step: number, seed: number): Float32Array {
  const left = remainingSignal(step);
  const [keep, add] = [Math.sqrt(left), Math.sqrt(1 - left)];
  const normal = normals(seed, pixels);
  return pixels.map((value) => keep * value + add * normal());
}

/** Standard normal numbers (Box and Muller, 1958) from a generator that begins with a seed and the bits of the data. */
function normals(seed: number, data: Float32Array): () => number {
  // FNV-1a over 32-bit words.
  let state = 0x811c9dc5 ^ seed;
  for (const word of new Uint32Array(data.buffer, data.byteOffset, data.length)) {
    state = Math.imul(state ^ word, 0x01000193);
  }
  // splitmix32 (Steele, Lea and Flood, 2014, in 32 bits).
  const uniform = () => {
    state = (state + 0x9e3779b9) | 0;
    let z = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return (((z ^ (z >>> 15)) >>> 0) + 0.5) / 2 ** 32;
  };
  let spare: number | undefined;
  return () => {
    if (spare !== undefined) {
      const value = spare;
      spare = undefined;
      return value;
    }
    const radius = Math.sqrt(-2 * Math.log(uniform()));
    const angle = 2 * Math.PI * uniform();
    spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  };
}
