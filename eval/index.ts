/** Evaluation for programs: what attune eval does, with its report as an object. */
export type { InterventionJSON } from '../hooks/model/index.ts';
export { defineTask } from './evaluate/define-task.ts';
export { type Evaluation, evaluate } from './evaluate/evaluate.ts';
export type { EvaluateOptions, GivenIntervention } from './evaluate/options.ts';
export type { EvalModel } from './models/load.ts';
export type { ReportDocument } from './reports/document.ts';
export type { TimeCost } from './runner/costs.ts';
export type { GateCheck, GateResult } from './runner/gate.ts';
export type { MetricDelta, MetricValue } from './runner/measure.ts';
export type { PartReport, RunReport } from './runner/report.ts';
export type { Row } from './runner/row.ts';
export type { Task, TaskDefinition } from './tasks/definition.ts';
