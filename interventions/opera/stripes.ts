/**
 * OPERA's score of a stripe: how strongly all later tokens of the response attend to one of its tokens.
 *
 *   w[i,j] = max_h P[i,h,j] / Σ_t max_h P[i,h,t]            over all keys t, prompt and picture included
 *   score_j = Π_{i ≥ j} σ w[i,j],   φ = max_j score_j
 *
 * Kept as running sums of logarithms (φ spans 1e-30 to 1e12): a new row adds to every column, and nothing is ever divided out.
 * Letters: H heads, T keys, P prompt.
 */

/** ln score_j of each response token so far. */
export type Stripes = readonly number[];

/** float16 attention can be exactly 0. */
const FLOOR = 1e-12;

export interface Row {
  /** Over response tokens, the newest included. */
  response: number[];
  /** Share of the row on the picture's tokens. */
  picture: number;
}

/**
 * A token's attention, maximum over heads, renormalised, cropped to the response.
 * @param row [H,T] probabilities of one query
 * @param start first response token
 */
export function stripeRow(
  row: ArrayLike<number>,
  heads: number,
  start: number,
  pictures: readonly { from: number; to: number }[],
): Row {
  const T = row.length / heads;
  const most = new Float64Array(T);
  let total = 0;
  for (let t = 0; t < T; t++) {
    for (let h = 0; h < heads; h++) most[t] = Math.max(most[t]!, row[h * T + t]!);
    total += most[t]!;
  }
  const weights = most.map((weight) => weight / total);
  let picture = 0;
  for (const { from, to } of pictures) for (let t = from; t < to; t++) picture += weights[t]!;
  return { response: [...weights.subarray(start)], picture };
}

/** The columns with one more row. */
export function withRow(stripes: Stripes, { response }: Pick<Row, 'response'>, sigma: number): Stripes {
  return response.map((weight, j) => (stripes[j] ?? 0) + Math.log(sigma * Math.max(weight, FLOOR)));
}

/** ln φ and its column, the first of equal ones. @param window only columns of the newest so many tokens */
export function strongest(
  stripes: Stripes,
  window = Number.POSITIVE_INFINITY,
): { logPhi: number; column: number } {
  let column = Math.max(0, stripes.length - window);
  for (let j = column; j < stripes.length; j++) if (stripes[j]! > stripes[column]!) column = j;
  return { logPhi: stripes[column]!, column };
}
