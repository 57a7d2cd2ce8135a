/** What a report says, before it takes a form: the numbers, how they came about, and what there is to show of the items. */
import type { HeadMap } from '../models/head-maps.ts';
import type { ModelOptions } from '../models/load.ts';
import type { TimeCost } from '../runner/costs.ts';
import type { GateResult } from '../runner/gate.ts';
import type { RunReport } from '../runner/report.ts';
import type { TaskRows } from '../runner/run.ts';

/** report.json: nothing in it depends on when or how fast it was computed. */
export interface ReportDocument {
  /** Name → version of what computed the numbers. */
  software: Record<string, string>;
  /** The models, each with a hash of what its scores depend on. */
  models: { name: string; fingerprint: string }[];
  /** How they were loaded. */
  modelOptions: ModelOptions;
  /** Seed, sample, bootstrap and confidence level of the run. */
  options: {
    /** Part of a run, as part/parts. */
    shard?: string;
    seed: number;
    limit?: number | undefined;
    sampleIds?: readonly string[];
    skipBad: boolean;
    resamples: number;
    level: number;
  };
  /** The tasks, with hashes of their definitions and files, and how many items there were. */
  tasks: {
    name: string;
    split: string;
    /** Hash of the definition. */
    definition: string;
    files: { file: string; sha256: string }[];
    records: number;
    items: number;
    bad: { code: string; at: string | undefined }[];
  }[];
  /** One entry for each model, task and setting; the first setting of each is the baseline. */
  runs: RunReport[];
  /** Where head maps were asked for. */
  heads?: HeadMaps[];
}

/** Maps of one model under one setting, over prompts of all tasks of the run. */
export interface HeadMaps {
  model: string;
  intervention: string;
  prompts: number;
  maps: HeadMap[];
}

/** With what varies from run to run: for pages that people read. */
export interface ReadableReport {
  document: ReportDocument;
  /** In the order of `document.runs`. */
  costs: readonly TimeCost[];
  gates: readonly GateResult[];
  sets: readonly TaskRows[];
  /** The command that makes this report. */
  command: string;
}
