/**
 * Tokens with massive activations, VAR's sinks (Kang et al., arXiv 2503.03321): in the residual stream entering a layer
 * a few fixed channels are extreme relative to the token's root mean square,
 *
 *   φ(x) = max over the listed channels of |x_d| / √(mean x² + ε).
 */
import { block, indices, type Tensor, zeros } from '../reference/tensor.ts';

/** φ never exceeds √D, √(D/2) when two channels spike equally: choose τ below that. */
export function phi(hidden: Tensor, channels: readonly number[], epsilon = 1e-6): Tensor {
  const [B, T, D] = hidden.shape as [number, number, number];
  const result = zeros(B, T);
  for (const [b, t] of indices(B, T) as Iterable<[number, number]>) {
    const x = block(hidden, b, t);
    const rms = Math.sqrt(x.reduce((sum, value) => sum + value * value, 0) / D + epsilon);
    block(result, b, t)[0] = Math.max(...channels.map((d) => Math.abs(x[d]!) / rms));
  }
  return result;
}

/** Entries with |x| > 100 and |x| ≥ 1000 · median |x| of the layer's tensor (arXiv 2402.17762): [token, channel]. */
export function massiveActivations(hidden: Tensor, { absolute = 100, relative = 1000 } = {}) {
  const [T, D] = hidden.shape as [number, number];
  const bar = relative * median(hidden.data.map(Math.abs));
  const found: [number, number][] = [];
  for (const [t, d] of indices(T, D) as Iterable<[number, number]>) {
    const size = Math.abs(block(hidden, t)[d]!);
    if (size > absolute && size >= bar) found.push([t, d]);
  }
  return found;
}

/** Mean of the middle two for an even count. */
export function median(values: ArrayLike<number>): number {
  const sorted = Float64Array.from(values).sort();
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
