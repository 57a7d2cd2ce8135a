/**
 * Golden vectors through the real lowerings, on this machine and a chosen execution provider: how a checkout proves
 * itself, and how a user checks a new device.
 */
import { AttuneError, isAttuneError } from '../errors.ts';
import { DataType } from '../onnx/index.ts';
import type { Comparison, Solve } from './golden/check.ts';
import { checkGolden } from './golden/checks.ts';
import { type Family, type GoldenCase, readGoldenFolder } from './golden/index.ts';
import { largest, maxAbsError } from './reference/tensor.ts';
import { solveExpanded } from './verify/expanded.ts';
import { solveFused } from './verify/fused.ts';
import { createRunner, type ExecutionProvider, type Runner } from './verify/runner.ts';

/**
 * 'expanded' in one block, 'expanded-blocks' with probabilities never whole, 'apart-gqa' a GroupQueryAttention taken
 * apart, 'fused-gqa', 'fused-mha' and 'fused-attention' (ai.onnx) with the operator kept.
 */
export const LOWERINGS = [
  'expanded',
  'expanded-blocks',
  'apart-gqa',
  'fused-gqa',
  'fused-mha',
  'fused-attention',
] as const;
export type LoweringName = (typeof LOWERINGS)[number];

export interface VerifyOptions {
  /** Folders of golden files. */
  readonly golden: readonly string[];
  /** Default 'cpu'. */
  readonly ep?: ExecutionProvider | undefined;
  /** Default: all. */
  readonly lowerings?: readonly LoweringName[] | undefined;
  /** Type of q, k, v and outputs. Default 'float32'. */
  readonly precision?: 'float32' | 'float16' | undefined;
  /** Checks of families that are no attention (texts, decoding); what none answers for is listed as not built. */
  readonly others?: ((golden: GoldenCase) => Promise<Comparison[]> | undefined) | undefined;
  /** Called as results come in. */
  readonly onResult?: ((result: VerifiedCase) => void) | undefined;
}

export interface VerifiedCase {
  readonly family: Family;
  readonly case: string;
  /** A lowering; 'none' for cases that are checked without running a graph: detectors, texts. */
  readonly lowering: LoweringName | 'none';
  readonly ep: ExecutionProvider;
  /** Over everything the case fixes and the lowering shows. */
  readonly maxAbsError: number;
  readonly pass: boolean;
  /** What was farthest off, or the error that ended the case. */
  readonly worst: string;
}

export interface VerifyReport {
  readonly cases: readonly VerifiedCase[];
  readonly notBuilt: readonly { readonly family: Family; readonly case: string }[];
  readonly passed: number;
  readonly failed: number;
}

/**
 * Every case through every lowering that can express it. A case whose method no lowering expresses fails if it is
 * attention, and is listed in `notBuilt` otherwise.
 *
 * @throws AttuneError EP_UNAVAILABLE, LOWERING_UNKNOWN, GOLDEN_NOT_FOUND and what readGolden throws
 */
export async function verifyGolden(options: VerifyOptions): Promise<VerifyReport> {
  const { ep = 'cpu', lowerings = LOWERINGS, precision = 'float32', others, onResult } = options;
  for (const name of lowerings) {
    if (LOWERINGS.includes(name)) continue;
    throw new AttuneError('LOWERING_UNKNOWN', {
      found: `'${name}'`,
      expected: `one of ${LOWERINGS.join(', ')}`,
    });
  }
  const golden = (await Promise.all(options.golden.map(readGoldenFolder))).flat();
  const cases: VerifiedCase[] = [];
  const notBuilt: { family: Family; case: string }[] = [];
  const report = (result: VerifiedCase) => {
    cases.push(result);
    onResult?.(result);
  };
  await using runner = await createRunner(ep);
  for (const one of golden) {
    const { family, id } = one;
    const tolerance = one.tolerance[precision];
    const other = others?.(one);
    const results: VerifiedCase[] = [];
    if (other)
      results.push(judge(await other, { family, case: id, lowering: 'none', ep }, tolerance, precision));
    else {
      for (const lowering of lowerings) {
        const result = await tryLowering(one, lowering, runner, precision, tolerance);
        if (result) results.push(result);
        if (result?.lowering === 'none') break;
      }
    }
    if (results.length === 0) notBuilt.push({ family, case: id });
    for (const result of results) report(result);
  }
  const passed = cases.filter(({ pass }) => pass).length;
  return { cases, notBuilt, passed, failed: cases.length - passed };
}

/** @returns undefined where the lowering cannot express the case or the case is no attention */
async function tryLowering(
  golden: GoldenCase,
  lowering: LoweringName,
  runner: Runner,
  precision: 'float32' | 'float16',
  tolerance: number,
): Promise<VerifiedCase | undefined> {
  const elemType = precision === 'float32' ? DataType.FLOAT : DataType.FLOAT16;
  let ran = 0;
  const solve: Solve = (problem) => {
    ran++;
    return solverOf(lowering, runner, elemType)(problem);
  };
  const place = { family: golden.family, case: golden.id, ep: runner.ep };
  try {
    const comparisons = await checkGolden(golden, solve);
    if (!comparisons) return undefined;
    return judge(comparisons, { ...place, lowering: ran > 0 ? lowering : 'none' }, tolerance, precision);
  } catch (error) {
    if (isAttuneError(error, 'LOWERING_LACKS_EDIT') || isAttuneError(error, 'LOWERING_LACKS_OPERATOR')) {
      return undefined;
    }
    if (isAttuneError(error, 'EP_UNAVAILABLE')) throw error;
    // A case that cannot run on this device is a failed case, not the end of the report.
    const worst = error instanceof Error ? error.message : String(error);
    return { ...place, lowering, maxAbsError: Number.POSITIVE_INFINITY, pass: false, worst };
  }
}

function solverOf(lowering: LoweringName, runner: Runner, elemType: number): Solve {
  switch (lowering) {
    case 'expanded':
      return (problem) => solveExpanded(runner, problem, { elemType, tapPattern: true });
    case 'expanded-blocks':
      return (problem) => solveExpanded(runner, problem, { elemType, blockBytes: 1 });
    case 'apart-gqa':
      return (problem) => solveFused(runner, 'GroupQueryAttention', problem, { elemType, open: true });
    case 'fused-gqa':
      return (problem) => solveFused(runner, 'GroupQueryAttention', problem, { elemType });
    case 'fused-mha':
      return (problem) => solveFused(runner, 'MultiHeadAttention', problem, { elemType });
    case 'fused-attention':
      return (problem) => solveFused(runner, 'Attention', problem, { elemType });
  }
}

/** @param tolerance for float16 counts per unit of the largest expected value, since halves carry 11 bits */
function judge(
  comparisons: readonly Comparison[],
  place: Pick<VerifiedCase, 'family' | 'case' | 'lowering' | 'ep'>,
  tolerance: number,
  precision: 'float32' | 'float16',
): VerifiedCase {
  let [error, worst, pass] = [0, '', true];
  for (const { name, actual, expected } of comparisons) {
    if (!actual) continue;
    const found = maxAbsError(actual, expected);
    const unit = precision === 'float16' ? largest(expected, 1) : 1;
    pass &&= found <= tolerance * unit;
    if (found >= error) [error, worst] = [found, name];
  }
  const compared = comparisons.some(({ actual }) => actual);
  return { ...place, maxAbsError: error, pass: compared && pass, worst };
}
