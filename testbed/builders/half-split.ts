/**
 * Rows of a projection from interleaved rotary pairs (2i, 2i+1), as llama2.c and llama.cpp rotate, to half-split pairs
 * (i, i + D/2), as Hugging Face and GroupQueryAttention do: within every head the even rows first, then the odd ones.
 *
 * @param weights [heads · headDim, columns], row-major
 */
export function halfSplit(weights: Float32Array, heads: number, headDim: number): Float32Array {
  const columns = weights.length / (heads * headDim);
  const result = new Float32Array(weights.length);
  for (let head = 0; head < heads; head++) {
    for (let i = 0; i < headDim; i++) {
      const source = i < headDim / 2 ? 2 * i : 2 * i - headDim + 1;
      const from = (head * headDim + source) * columns;
      result.set(weights.subarray(from, from + columns), (head * headDim + i) * columns);
    }
  }
  return result;
}
