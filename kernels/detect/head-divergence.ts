/**
 * VHR's heads (He et al., arXiv 2412.13949): how far each head's output at the last prompt position moves when the image
 * is taken away, VHD = ‖with - without‖; heads above the layer's median are chosen. A head that is unusually far *and*
 * unusually active without the image (both above mean + one standard deviation) counts as zero first.
 */
import { at, block, build, type Tensor } from '../reference/tensor.ts';
import { median } from './massive-activations.ts';

/** How far the image moves each head, and which are chosen. */
export interface HeadDivergence {
  /** (B, H) ‖with - without‖. */
  readonly vhd: Tensor;
  /** (B, H) ‖without‖². */
  readonly ta: Tensor;
  /** (B, H) of 0 and 1. */
  readonly outlier: Tensor;
  /** (B, H) vhd, 0 for outliers. */
  readonly pruned: Tensor;
  /** (B) of the pruned values. */
  readonly median: Tensor;
  /** (B, H) of 0 and 1: pruned > median. */
  readonly selected: Tensor;
}

/**
 * VHR's choice of heads: VHD = ‖with − without‖, outliers 0, those above the median.
 *
 * @param withImage, withoutImage (B, H, E) head outputs before the output projection
 * @param ddof 0 population, 1 sample standard deviation; the paper does not say
 */
export function headDivergence(
  withImage: Tensor,
  withoutImage: Tensor,
  { prune = true, ddof = 0 } = {},
): HeadDivergence {
  const [B, H] = withImage.shape as [number, number];
  const squares = (x: Float64Array) => x.reduce((sum, value) => sum + value * value, 0);
  const vhd = build([B, H], (b, h) => {
    const reference = block(withoutImage, b!, h!);
    return Math.sqrt(squares(block(withImage, b!, h!).map((x, e) => x - reference[e]!)));
  });
  const ta = build([B, H], (b, h) => squares(block(withoutImage, b!, h!)));
  const outlier = build([B, H], (b, h) => {
    const far = at(vhd, b!, h!) > meanPlusDeviation(block(vhd, b!), ddof);
    return Number(prune && far && at(ta, b!, h!) > meanPlusDeviation(block(ta, b!), ddof));
  });
  const pruned = build([B, H], (b, h) => (at(outlier, b!, h!) ? 0 : at(vhd, b!, h!)));
  const middle = build([B], (b) => median(block(pruned, b!)));
  const selected = build([B, H], (b, h) => Number(at(pruned, b!, h!) > at(middle, b!)));
  return { vhd, ta, outlier, pruned, median: middle, selected };
}

function meanPlusDeviation(values: Float64Array, ddof: number): number {
  const n = values.length;
  const mean = values.reduce((sum, x) => sum + x, 0) / n;
  return mean + Math.sqrt(values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / (n - ddof));
}

/** α on the selected heads, exactly 1 on the others: (B, H). */
export function headFactors(selected: Tensor, alpha: number): Tensor {
  return build(selected.shape, (b, h) => (at(selected, b!, h!) ? alpha : 1));
}
