/**
 * Local and summary image tokens (PAINT, Arif et al., arXiv 2501.12206), from the vision encoder's CLS attention: the
 * most attended patches of the first layer, and the box-plot outliers of the penultimate one.
 */
import { block, type Tensor } from '../reference/tensor.ts';

/** Local and summary patches, and what they were chosen by. */
export interface ImageTokens {
  /** Attention summed over the encoder's heads, per patch. */
  readonly first: readonly number[];
  /** The same in the layer before the last. */
  readonly penultimate: readonly number[];
  /** First quartile of penultimate. */
  readonly q1: number;
  /** Third quartile of penultimate. */
  readonly q3: number;
  /** Patch indices, ascending; a patch in both sets counts as summary. */
  readonly local: readonly number[];
  /** Patch indices, ascending. */
  readonly summary: readonly number[];
}

/**
 * Local and summary patches of an image, from the attention of the encoder's class token.
 *
 * @param first, penultimate (Hv, N): CLS rows without the CLS column
 */
export function imageTokens(first: Tensor, penultimate: Tensor, { localRatio = 0.25 } = {}): ImageTokens {
  const f = sumHeads(first);
  const g = sumHeads(penultimate);
  const [q1, q3] = [percentile(g, 0.25), percentile(g, 0.75)];
  const summary = top(g, g.filter((x) => x > q3 + 1.5 * (q3 - q1)).length);
  const local = top(f, Math.floor(f.length * localRatio)).filter((t) => !summary.includes(t));
  return { first: f, penultimate: g, q1, q3, local, summary };
}

function sumHeads(rows: Tensor): number[] {
  const [heads, N] = rows.shape as [number, number];
  return Array.from({ length: N }, (_, t) => {
    let sum = 0;
    for (let h = 0; h < heads; h++) sum += block(rows, h)[t]!;
    return sum;
  });
}

/** Linear interpolation between order statistics (NumPy's default). */
function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const place = share * (sorted.length - 1);
  const low = Math.floor(place);
  return sorted[low]! + (place - low) * ((sorted[low + 1] ?? sorted[low]!) - sorted[low]!);
}

/** Indices of the `count` largest, lower index first on ties, returned ascending. */
function top(values: readonly number[], count: number): number[] {
  return [...values.keys()]
    .sort((a, b) => values[b]! - values[a]! || a - b)
    .slice(0, count)
    .sort((a, b) => a - b);
}
