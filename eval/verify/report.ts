/** What verification yields, whether of kernels against vectors or of a whole model against a golden run. */

export interface VerifiedCase {
  readonly family: string;
  readonly case: string;
  /** Graph form or kernel lowering that computed it. */
  readonly lowering: string;
  /** Execution provider: cpu, wasm, webgpu. */
  readonly ep: string;
  /** For tokens and texts the number of positions that differ. */
  readonly maxAbsError: number;
  readonly tolerance: number;
  readonly pass: boolean;
}

export interface VerifyReport {
  readonly cases: readonly VerifiedCase[];
  /** Families of the golden file that nothing here computes yet. */
  readonly notBuilt: readonly string[];
  readonly passed: number;
  readonly failed: number;
}

export function reportOf(cases: readonly VerifiedCase[], notBuilt: readonly string[]): VerifyReport {
  const passed = cases.filter(({ pass }) => pass).length;
  return { cases, notBuilt, passed, failed: cases.length - passed };
}
