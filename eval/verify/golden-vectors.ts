/**
 * Golden vectors through the product's own path, on this machine and a chosen execution provider: how a checkout proves
 * itself, and how a user checks a new device. What the product does not compute is told apart from what it does.
 */
import { AttuneError, isAttuneError } from '../../errors.ts';
import type { Comparison, Solve } from '../../kernels/golden/check.ts';
import { checkGolden, computedBy } from '../../kernels/golden/checks.ts';
import { type Family, type GoldenCase, readGoldenFolder } from '../../kernels/golden/index.ts';
import { solve as solveReference } from '../../kernels/reference/solve.ts';
import { largest, type Tensor } from '../../kernels/reference/tensor.ts';
import { createRunner, type ExecutionProvider, type Runner } from '../../kernels/verify/runner.ts';
import { DataType } from '../../onnx/index.ts';
import { solveCompiled, WAYS, type Way } from './compiled.ts';
import type { CaseState } from './report.ts';

export interface VerifyOptions {
  /** Folders of golden files. */
  readonly golden: readonly string[];
  /** Default 'cpu'. */
  readonly ep?: ExecutionProvider | undefined;
  /** In place of the installed ONNX Runtime. */
  readonly runtime?: object | undefined;
  /** Names of ways or of lowerings. Default: all. */
  readonly lowerings?: readonly string[] | undefined;
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
  readonly state: CaseState;
  /** A way through the compiler; 'none' for cases that are checked without running a graph: detectors, texts, references. */
  readonly lowering: string;
  readonly ep: ExecutionProvider;
  /** Over everything the case fixes and the lowering shows. */
  readonly maxAbsError: number;
  readonly pass: boolean;
  /** What was farthest off, or the error that ended the case. */
  readonly worst: string;
}

export interface VectorsReport {
  readonly cases: readonly VerifiedCase[];
  readonly notBuilt: readonly { readonly family: Family; readonly case: string }[];
  readonly passed: number;
  readonly failed: number;
}

interface Setting {
  readonly runner: Runner;
  readonly ways: readonly Way[];
  readonly precision: 'float32' | 'float16';
}

/**
 * Every case through every way that can express it. A case of attention that the product computes and no way expresses is a
 * failed case; what nothing here computes at all is listed in `notBuilt`.
 *
 * @throws AttuneError EP_UNAVAILABLE, LOWERING_UNKNOWN, GOLDEN_NOT_FOUND and what readGolden throws
 */
export async function verifyVectors(options: VerifyOptions): Promise<VectorsReport> {
  const { ep = 'cpu', runtime, lowerings, precision = 'float32', others, onResult } = options;
  const ways = chosenWays(lowerings);
  const golden = (await Promise.all(options.golden.map(readGoldenFolder))).flat();
  const cases: VerifiedCase[] = [];
  const notBuilt: { family: Family; case: string }[] = [];
  await using runner = await createRunner(ep, { runtime });
  for (const one of golden) {
    const results = await verifyCase(one, { runner, ways, precision }, others?.(one));
    if (results.length === 0 && lowerings === undefined) notBuilt.push({ family: one.family, case: one.id });
    for (const result of results) {
      cases.push(result);
      onResult?.(result);
    }
  }
  const passed = cases.filter(({ pass }) => pass).length;
  return { cases, notBuilt, passed, failed: cases.length - passed };
}

function chosenWays(names: readonly string[] | undefined): readonly Way[] {
  if (names === undefined) return WAYS;
  for (const name of names) {
    if (WAYS.some((way) => way.name === name || way.lowering === name)) continue;
    throw new AttuneError('LOWERING_UNKNOWN', {
      found: `'${name}'`,
      expected: `one of ${[...new Set(WAYS.flatMap((way) => [way.lowering, way.name]))].join(', ')}`,
    });
  }
  return WAYS.filter((way) => names.includes(way.name) || names.includes(way.lowering));
}

async function verifyCase(
  golden: GoldenCase,
  setting: Setting,
  other: Promise<Comparison[]> | undefined,
): Promise<VerifiedCase[]> {
  const { precision, runner } = setting;
  const place = { family: golden.family, case: golden.id, ep: runner.ep };
  const tolerance = golden.tolerance[precision];
  if (other) {
    const result = judge(await other, tolerance, precision);
    return [{ ...place, state: 'product', lowering: 'none', ...result }];
  }
  const by = computedBy(golden);
  if (by === 'nothing') return [];
  if (by === 'reference' || by === 'code') {
    const comparisons = await checkGolden(golden, async (problem) => solveReference(problem));
    if (!comparisons) return [];
    const state = by === 'code' ? 'product' : 'reference';
    return [
      { ...place, state, lowering: 'none', ...judge(comparisons, golden.tolerance.float32, 'float32') },
    ];
  }
  const results: VerifiedCase[] = [];
  for (const way of setting.ways) {
    const result = await tryWay(golden, way, setting);
    if (result) results.push({ ...place, state: 'product', lowering: way.name, ...result });
  }
  if (results.length > 0 || setting.ways.length < WAYS.length) return results;
  const worst = 'no way through the compiler expresses it';
  return [{ ...place, state: 'product', lowering: 'none', maxAbsError: Infinity, pass: false, worst }];
}

/** @returns undefined where the way cannot express the case */
async function tryWay(
  golden: GoldenCase,
  way: Way,
  { runner, precision }: Setting,
): Promise<Judgement | undefined> {
  const elemType = precision === 'float32' ? DataType.FLOAT : DataType.FLOAT16;
  let edited = 0;
  // What is added to the logits goes through the operator's own type.
  let bias = 0;
  const solve: Solve = (problem) => {
    if (problem.edits?.length) edited++;
    if (problem.bias) bias = largest(problem.bias, bias);
    return solveCompiled(runner, problem, way, { elemType });
  };
  try {
    const comparisons = await checkGolden(golden, solve);
    // Without an edit nothing was compiled: the operator alone was run.
    if (!comparisons || edited === 0) return undefined;
    return judge(comparisons, golden.tolerance[precision], precision, bias);
  } catch (error) {
    if (isAttuneError(error) && CANNOT.has(error.code)) return undefined;
    if (isAttuneError(error, 'EP_UNAVAILABLE')) throw error;
    // A case that cannot run on this device is a failed case, not the end of the report.
    const worst = error instanceof Error ? error.message : String(error);
    return { maxAbsError: Number.POSITIVE_INFINITY, pass: false, worst };
  }
}

/** Refusals that say: not this way. */
const CANNOT: ReadonlySet<string> = new Set([
  'LOWERING_LACKS_EDIT',
  'LOWERING_LACKS_OPERATOR',
  'LOWERING_UNAVAILABLE',
]);

type Judgement = Pick<VerifiedCase, 'maxAbsError' | 'pass' | 'worst'>;

/**
 * @param tolerance of values up to 1 in size, and relative to larger ones, since float32 has 24 bits wherever its point is;
 *   for float16 relative to the largest value, since halves carry 11 bits @param among values that a result was made from
 */
function judge(
  comparisons: readonly Comparison[],
  tolerance: number,
  precision: 'float32' | 'float16',
  among = 0,
): Judgement {
  let [error, worst, pass, compared] = [0, '', true, false];
  for (const { name, actual, expected } of comparisons) {
    if (!actual) continue;
    compared = true;
    const unit = precision === 'float16' ? largest(expected, Math.max(1, among)) : 1;
    const { absolute, relative } = farthest(actual, expected, unit);
    pass &&= relative <= tolerance;
    if (absolute >= error) [error, worst] = [absolute, name];
  }
  return { maxAbsError: error, pass: compared && pass, worst };
}

/** Largest difference, and the largest in units of the value it is of, which count from `unit` on. */
function farthest(actual: Tensor, expected: Tensor, unit: number): { absolute: number; relative: number } {
  if (actual.data.length !== expected.data.length) return { absolute: Infinity, relative: Infinity };
  let [absolute, relative] = [0, 0];
  for (let i = 0; i < expected.data.length; i++) {
    const [a, e] = [actual.data[i]!, expected.data[i]!];
    // Equal infinities differ by nothing.
    const difference = a === e ? 0 : Math.abs(a - e);
    if (Number.isNaN(difference)) return { absolute: Infinity, relative: Infinity };
    absolute = Math.max(absolute, difference);
    relative = Math.max(relative, difference / Math.max(unit, Math.abs(e)));
  }
  return { absolute, relative };
}
