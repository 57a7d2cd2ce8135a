/** What the checks of golden cases are told, and what they give back. */
import type { Problem, Solution } from '../problem.ts';
import type { Tensor } from '../reference/tensor.ts';

export type Solve = (problem: Problem) => Promise<Solution>;

/** Something a case fixes. `actual` is absent where a solver does not produce it (fused forms show no probabilities). */
export interface Comparison {
  readonly name: string;
  readonly actual: Tensor | undefined;
  readonly expected: Tensor;
}
