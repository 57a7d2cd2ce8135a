/**
 * Blockwise symmetric 4-bit weights as com.microsoft.MatMulNBits reads them.
 * Op reference: ONNX Runtime contrib operators, MatMulNBits: B is [N, blocks, blockSize/2] bytes, the even column
 * of a pair in the low nibble; value = (nibble - 8) · scale[N, blocks].
 */
export interface Int4Matrix {
  /** [N, blocks, blockSize/2] */
  readonly quants: Uint8Array;
  /** [N, blocks] */
  readonly scales: Float32Array;
}

export function int4Blocks(columns: number, blockSize: number): number {
  return Math.ceil(columns / blockSize);
}

/**
 * Quantise weights [rows, columns]. The element of largest magnitude of a block becomes nibble 0 (-8), so that the
 * full range is used; a block of zeros has scale 0. Columns past the end are nibble 8, which is 0.
 */
export function quantizeInt4(
  weights: Float32Array,
  rows: number,
  columns: number,
  blockSize: number,
): Int4Matrix {
  const blocks = int4Blocks(columns, blockSize);
  const quants = new Uint8Array((rows * blocks * blockSize) / 2).fill(0x88);
  const scales = new Float32Array(rows * blocks);
  for (let row = 0; row < rows; row++) {
    for (let block = 0; block < blocks; block++) {
      const start = row * columns + block * blockSize;
      const width = Math.min(blockSize, columns - block * blockSize);
      let extreme = 0;
      for (let i = 0; i < width; i++) {
        if (Math.abs(weights[start + i]!) > Math.abs(extreme)) extreme = weights[start + i]!;
      }
      if (extreme === 0) continue;
      const scale = Math.fround(extreme / -8);
      scales[row * blocks + block] = scale;
      const out = ((row * blocks + block) * blockSize) / 2;
      for (let i = 0; i < width; i++) {
        const nibble = Math.min(15, Math.max(0, Math.round(weights[start + i]! / scale) + 8));
        const shift = (i & 1) * 4;
        const byte = out + (i >> 1);
        quants[byte] = (quants[byte]! & ~(15 << shift)) | (nibble << shift);
      }
    }
  }
  return { quants, scales };
}

/** The weights [rows, columns] that an int4 matrix stands for. */
export function dequantizeInt4(
  { quants, scales }: Int4Matrix,
  rows: number,
  columns: number,
  blockSize: number,
): Float32Array {
  const blocks = int4Blocks(columns, blockSize);
  const weights = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const block = row * blocks + Math.floor(column / blockSize);
      const within = column % blockSize;
      const byte = quants[(block * blockSize) / 2 + (within >> 1)]!;
      weights[row * columns + column] = (((byte >> ((within & 1) * 4)) & 15) - 8) * scales[block]!;
    }
  }
  return weights;
}
