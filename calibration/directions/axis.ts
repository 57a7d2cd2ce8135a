/**
 * One direction from pairs of vectors, of which the first of each has more of what is looked for.
 *
 *   mean   v = mean (a − b)                                contrastive activation addition (Rimsky et al., arXiv 2312.06681)
 *   pca    v = argmax_{‖v‖ = 1} Σ (v·(a − b))²             first principal component about the middle of each pair, with the
 *                                                          sign that most pairs have (repeng's pca_center)
 */
export const METHODS = ['mean', 'pca'] as const;
/**
 * How a direction is made from pairs: 'mean' of their differences, or 'pca', their first principal component.
 */
export type DirectionMethod = (typeof METHODS)[number];

/** What flows at one place in both texts of a pair; the first has more of what is looked for. */
export type VectorPair = readonly [positive: Float32Array, negative: Float32Array];

/**
 * The direction of pairs of vectors [M], not normalised.
 *
 *     mean   v = mean (a − b)
 *     pca    v = argmax over ‖v‖ = 1 of Σ (v·(a − b))², with the sign that most pairs have
 *
 * @example const axis = axisOf(pairs, 'mean');
 */
export function axisOf(pairs: readonly VectorPair[], method: DirectionMethod): Float64Array {
  const differences = pairs.map(([a, b]) => Float64Array.from(a, (x, i) => x - b[i]!));
  const mean = new Float64Array(differences[0]!.length);
  for (const one of differences) for (const [i, x] of one.entries()) mean[i]! += x / pairs.length;
  return method === 'mean' ? mean : principal(differences, mean);
}

/** Share of pairs whose first lies further along the direction. */
export function accuracyOf(pairs: readonly VectorPair[], axis: Float64Array): number {
  const right = pairs.filter(([a, b]) => axis.reduce((sum, v, i) => sum + v * (a[i]! - b[i]!), 0) > 0);
  return right.length / pairs.length;
}

const FOLDS = 5;

/** Accuracy on pairs that the direction was not made of, over up to five folds. */
export function heldOutAccuracy(pairs: readonly VectorPair[], method: DirectionMethod): number {
  const folds = Math.min(FOLDS, pairs.length);
  let right = 0;
  for (let fold = 0; fold < folds; fold++) {
    const held = pairs.filter((_, i) => i % folds === fold);
    const axis = axisOf(
      pairs.filter((_, i) => i % folds !== fold),
      method,
    );
    right += accuracyOf(held, axis) * held.length;
  }
  return right / pairs.length;
}

/** Of the n × n products of differences, whose leading vector gives that of the differences. */
function principal(differences: readonly Float64Array[], mean: Float64Array): Float64Array {
  const products = differences.map((a) => differences.map((b) => dot(a, b)));
  let weights: Float64Array = Float64Array.from(differences, (one) => dot(one, mean) || 1);
  for (let step = 0; step < MOST_STEPS; step++) {
    const next = normalised(Float64Array.from(products, (row) => dot(Float64Array.from(row), weights)));
    const change = Math.max(...next.map((x, i) => Math.abs(x - weights[i]!)));
    weights = next;
    if (change < 1e-12) break;
  }
  const axis = new Float64Array(mean.length);
  for (const [n, one] of differences.entries())
    for (const [i, x] of one.entries()) axis[i]! += weights[n]! * x;
  const unit = normalised(axis);
  const along = differences.filter((one) => dot(one, unit) > 0).length;
  return along * 2 < differences.length ? unit.map((x) => -x) : unit;
}

const MOST_STEPS = 1000;

const dot = (a: Float64Array, b: Float64Array): number => a.reduce((sum, x, i) => sum + x * b[i]!, 0);

function normalised(x: Float64Array): Float64Array {
  const length = Math.sqrt(dot(x, x));
  return length === 0 ? x : x.map((value) => value / length);
}
