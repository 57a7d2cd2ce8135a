/** Models on tasks, without and under interventions: what attune eval does, for programs. */
import type { ReportDocument } from '../reports/document.ts';
import { costsOf, type TimeCost } from '../runner/costs.ts';
import { checkGate, type GateResult } from '../runner/gate.ts';
import { reportRuns } from '../runner/report.ts';
import type { TaskRows } from '../runner/run.ts';
import { writeManifest } from '../shards/manifest.ts';
import { documentOf, type Ran } from './document.ts';
import { checkEvaluateOptions, type EvaluateOptions } from './options.ts';
import { type EvalPlan, evalPlan } from './plan.ts';
import { runPlans, type ScoringWorld } from './run-plans.ts';
import type { ReadIntervention } from './settings.ts';
import { type Written, writeReports } from './write-reports.ts';

/** What came of a run. */
export interface Evaluation {
  /** What `attune eval` writes as report.json: every metric with its interval, every difference to the baseline with its test. */
  readonly report: ReportDocument;
  /** Time and memory, in the order of `report.runs`. */
  readonly costs: readonly TimeCost[];
  /** Every gate with what was compared. */
  readonly gates: readonly GateResult[];
  /** Whether every gate holds. */
  readonly pass: boolean;
  /** The rows, for each model and task: `rows[i][j]` is item i under setting j. */
  readonly sets: readonly TaskRows[];
  /** Paths of report.json and report.html, where there is an `out`. */
  readonly files?: Written;
}

/** What evaluation needs of the world; exchanged in tests. */
export interface EvaluateWorld extends ScoringWorld {
  readIntervention: ReadIntervention;
}

/** Models come with a large library, which is loaded when the first of them is. */
export const EVALUATE_WORLD: Omit<EvaluateWorld, 'stderr'> = {
  loadModel: async (...of) => (await import('../models/load.ts')).loadEvalModel(...of),
  readIntervention: async (json) => (await import('../models/load.ts')).readIntervention(json),
};

const NOWHERE = { write: () => true };

/**
 * Score models on tasks, without interventions (the baseline) and under each of those given, on the same items.
 *
 * @example
 * const { report } = await evaluate({ model: 'models/tiny', tasks: 'copa', interventions: [zeroTuning({ gamma: 1.4 })] });
 * const [baseline, tuned] = report.runs;
 * console.log(baseline.metrics.acc.value, tuned.delta.acc.value, tuned.delta.acc.p);
 * @throws AttuneError OPTION_UNKNOWN, OPTION_INVALID, and those of `attune eval`: TASK_*, DATA_*, PROFILE_*, GATE_*, MODEL_*,
 *   SCORE_*, RUN_*
 */
export async function evaluate(options: EvaluateOptions): Promise<Evaluation> {
  checkEvaluateOptions(options);
  const { out, progress = NOWHERE, signal } = options;
  const world = { ...EVALUATE_WORLD, stderr: progress, signal };
  const plan = await evalPlan(options, world.readIntervention);
  return evaluatePlan(plan, { out, world, command: callOf(options) });
}

export interface EvaluateHow {
  readonly out: string | undefined;
  readonly world: ScoringWorld;
  /** What makes this report, for its page. */
  readonly command: string;
}

/** The plan, run: one path for the command and for programs. */
export async function evaluatePlan(
  plan: EvalPlan,
  { out, world, command }: EvaluateHow,
): Promise<Evaluation> {
  const { sets, ...ran } = await runPlans([plan], out, world);
  const { shard, id, asked: options, settings } = plan;
  if (shard && options && out !== undefined) {
    const labels = settings.map(({ label }) => label);
    writeManifest(out, { shard, plan: id, options, labels, command, ...ran });
  }
  return evaluationOf(plan, ran, sets, { out, command });
}

/** What rows say. */
export function evaluationOf(
  plan: EvalPlan,
  ran: Ran,
  sets: TaskRows[],
  { out, command }: Omit<EvaluateHow, 'world'>,
): Evaluation {
  const runs = sets.flatMap((set) => reportRuns(set, plan));
  const costs = sets.flatMap((set) => costsOf(set, plan.seed));
  const gates = plan.gates.map((gate) => checkGate(gate, sets, plan));
  const report = documentOf(plan, ran, runs);
  const files =
    out === undefined ? undefined : writeReports(out, { document: report, costs, gates, sets, command });
  return { report, costs, gates, pass: gates.every(({ pass }) => pass), sets, ...(files && { files }) };
}

/** As a program has it, without what is no data. */
function callOf({ progress: _, signal: __, model, ...rest }: EvaluateOptions): string {
  const models = [model].flat().map((one) => (typeof one === 'string' ? one : one.name));
  return `evaluate(${JSON.stringify({ model: models, ...rest }, null, 2)})`;
}
