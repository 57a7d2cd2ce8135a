/** A linear layer y = x Wᵀ + b, in float32 (MatMul) or 4 bits (com.microsoft.MatMulNBits). */
import type { Build } from './build.ts';
import { int4Blocks } from './int4.ts';

export interface Linear {
  /** '/model/layers.0/attn/q_proj' */
  readonly scope: string;
  /** Hugging Face names ('model.layers.0.self_attn.q_proj') and widths of the layers whose outputs are joined. */
  readonly parts: readonly { readonly name: string; readonly width: number }[];
  readonly inputWidth: number;
  /** Default false. */
  readonly bias?: boolean;
  /** Name of the result; default by the naming. */
  readonly output?: string;
}

/** Emit the layer on value `x` [B, S, inputWidth]; returns its result [B, S, Σ width]. */
export function emitLinear({ g, parameters, options }: Build, x: string, layer: Linear): string {
  const { scope, parts, inputWidth, bias = false, output } = layer;
  const width = parts.reduce((sum, part) => sum + part.width, 0);
  const product = bias || !output ? g.output(`${scope}/MatMul`, 0) : output;
  const weight = g.matMulWeightName(scope);
  if (options.weights.kind === 'float32') {
    g.weight(weight, [inputWidth, width], () => {
      const rows = parts.map((part) => parameters.float(`${part.name}.weight`, [part.width, inputWidth]));
      return transpose(concat(rows), width, inputWidth);
    });
    g.node(`${scope}/MatMul`, 'MatMul', [x, weight], {}, [product]);
  } else {
    const { blockSize, accuracyLevel } = options.weights;
    const blocks = int4Blocks(inputWidth, blockSize);
    const matrices = () =>
      parts.map((part) => parameters.int4(`${part.name}.weight`, part.width, inputWidth, blockSize));
    const quants = g.bytesWeight(`${weight}_Q4`, [width, blocks, blockSize / 2], () =>
      concatBytes(matrices().map((matrix) => matrix.quants)),
    );
    const scales = g.weight(`${weight}_scales`, [width, blocks], () =>
      concat(matrices().map((matrix) => matrix.scales)),
    );
    const sizes = { K: inputWidth, N: width, bits: 4, block_size: blockSize, accuracy_level: accuracyLevel };
    g.node(`${scope}/MatMul_Q4`, 'com.microsoft.MatMulNBits', [x, quants, scales], sizes, [product]);
  }
  if (!bias) return product;
  const added = g.weight(g.biasName(scope), [width], () =>
    concat(parts.map((part) => parameters.float(`${part.name}.bias`, [part.width]))),
  );
  return g.node(`${scope}/Add`, 'Add', [product, added], {}, output ? [output] : undefined);
}

function concat(parts: readonly Float32Array[]): Float32Array {
  if (parts.length === 1) return parts[0]!;
  const result = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    result.set(part, at);
    at += part.length;
  }
  return result;
}

function concatBytes(parts: readonly Uint8Array[]): Uint8Array {
  return parts.length === 1 ? parts[0]! : new Uint8Array(Buffer.concat(parts));
}

/** Columns that are read together, so that a line of the cache is used whole. */
const TILE = 16;

/** [rows, columns] → [columns, rows] */
function transpose(matrix: Float32Array, rows: number, columns: number): Float32Array {
  const result = new Float32Array(matrix.length);
  for (let from = 0; from < columns; from += TILE) {
    const to = Math.min(from + TILE, columns);
    for (let row = 0; row < rows; row++) {
      for (let column = from; column < to; column++) {
        result[column * rows + row] = matrix[row * columns + column]!;
      }
    }
  }
  return result;
}
