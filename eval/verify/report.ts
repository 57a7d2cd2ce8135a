/** What verification yields, whether of kernels against vectors or of a whole model against a golden run. */

/**
 * 'product': what ships computed it, as it does for a user. 'reference': the float64 reference agrees with the golden values,
 * and no code that ships computes it. What nothing here computes is no case: it is listed as not built.
 */
export type CaseState = 'product' | 'reference';

export interface VerifiedCase {
  readonly family: string;
  readonly case: string;
  readonly state: CaseState;
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
