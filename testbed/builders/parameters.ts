/**
 * Where the parameters of a decoder come from: asked for by Hugging Face name, in torch's layout [out, in].
 */
import { AttuneError } from '../../errors.ts';
import { type Int4Matrix, int4Blocks, quantizeInt4 } from './int4.ts';

export interface Parameters {
  /** Row-major elements of a parameter; `dims` is [out, in] for a linear layer or embedding, [n] for the others. */
  float(name: string, dims: readonly number[]): Float32Array;
  /** A linear layer or embedding [rows, columns] in 4 bits. */
  int4(name: string, rows: number, columns: number, blockSize: number): Int4Matrix;
}

/** @throws AttuneError PARAMETER_MISMATCH when a decoder asks for what is not there, or not of that size */
export function givenParameters(parameters: ReadonlyMap<string, Float32Array>): Parameters {
  const float = (name: string, dims: readonly number[]) => {
    const values = parameters.get(name);
    const count = dims.reduce((product, dim) => product * dim, 1);
    if (values?.length !== count) {
      throw new AttuneError('PARAMETER_MISMATCH', {
        at: name,
        found: values ? `${values.length} elements` : 'no such parameter',
        expected: `${count} elements for [${dims.join(', ')}]`,
        hint: 'The configuration does not belong to these parameters.',
      });
    }
    return values;
  };
  const int4 = (name: string, rows: number, columns: number, blockSize: number) =>
    quantizeInt4(float(name, [rows, columns]), rows, columns, blockSize);
  return { float, int4 };
}

/**
 * Random parameters: a pure function of seed and name. Linear layers keep the variance of their input
 * (uniform, variance 1/in), norms are 1 ± 0.1, biases ± 0.1, embeddings have variance 1.
 */
export function randomParameters(seed: string): Parameters {
  return {
    float(name, dims) {
      const values = new Float32Array(dims.reduce((product, dim) => product * dim, 1));
      const words = wordStream(`${seed}/${name}`);
      const [center, width] = distribution(name, dims);
      for (let i = 0; i < values.length; i++) values[i] = center + width * (words() / 2 ** 31);
      return values;
    },
    /** Drawn in 4 bits directly: quantising floats would take minutes for a real vocabulary. */
    int4(name, rows, columns, blockSize) {
      const blocks = int4Blocks(columns, blockSize);
      const words = wordStream(`${seed}/${name}`);
      const quants = new Int32Array((rows * blocks * blockSize) / 8);
      for (let i = 0; i < quants.length; i++) quants[i] = words();
      // A uniform nibble minus 8 has mean -1/2 and second moment 21.5; a block of random sign has mean 0.
      const scales = new Float32Array(rows * blocks);
      const [, width] = distribution(name, [rows, columns]);
      const scale = width / Math.sqrt(3 * 21.5);
      for (let i = 0; i < scales.length; i++) scales[i] = words() < 0 ? -scale : scale;
      return { quants: new Uint8Array(quants.buffer), scales };
    },
  };
}

/** Centre and half-width of the uniform distribution a parameter is drawn from. */
function distribution(name: string, dims: readonly number[]): [number, number] {
  if (name.endsWith('norm.weight')) return [1, 0.1];
  if (name.endsWith('.bias')) return [0, 0.1];
  if (name.endsWith('embed_tokens.weight')) return [0, Math.sqrt(3)];
  return [0, Math.sqrt(3 / dims[1]!)];
}

/** Signed 32-bit words: xorshift32 (Marsaglia, 2003) seeded by FNV-1a of a string. */
function wordStream(seed: string): () => number {
  let state = 0x811c9dc5;
  for (let i = 0; i < seed.length; i++) state = Math.imul(state ^ seed.charCodeAt(i), 0x01000193);
  if (state === 0) state = 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state;
  };
}
