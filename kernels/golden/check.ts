/** What the checks of golden cases are told, and what they give back. */
import type { Problem, Solution } from '../problem.ts';
import { type Tensor, tensor } from '../reference/tensor.ts';

export type Solve = (problem: Problem) => Promise<Solution>;

/** Something a case fixes. `actual` is absent where a solver does not produce it (fused forms show no probabilities). */
export interface Comparison {
  readonly name: string;
  readonly actual: Tensor | undefined;
  readonly expected: Tensor;
}

/** ln w per head (1, H); for w = 0 a bias that empties the key wherever another is visible. */
export function logWeightsOf(weights: readonly number[]): Tensor {
  return tensor(
    [1, weights.length],
    weights.map((w) => (w > 0 ? Math.log(w) : -200)),
  );
}
