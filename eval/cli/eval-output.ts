/** What attune eval leaves behind: report.json, report.md and report.html in the output folder, a job summary in CI. */
import { appendFileSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { AttuneError } from '../../errors.ts';
import type { HeadMaps, ReadableReport, ReportDocument } from '../reports/document.ts';
import { reportMarkdown } from '../reports/markdown.ts';
import { reportPage } from '../reports/page.ts';
import { contentHash } from '../runner/content-hash.ts';
import type { TimeCost } from '../runner/costs.ts';
import type { GateResult } from '../runner/gate.ts';
import type { RunReport } from '../runner/report.ts';
import type { EvalPlan } from './eval-plan.ts';

/** What is known of a run besides its plan and its rows. */
export interface Ran {
  models: { name: string; fingerprint: string }[];
  software: Record<string, string>;
  heads?: HeadMaps[];
}

const { version } = createRequire(import.meta.url)('attune/package.json') as { version: string };

export type DocumentedPlan = Pick<
  EvalPlan,
  'tasks' | 'seed' | 'limit' | 'sampleIds' | 'skipBad' | 'resamples' | 'modelOptions'
>;

export function documentOf(
  plan: DocumentedPlan,
  { models, software, heads }: Ran,
  runs: RunReport[],
): ReportDocument {
  const { seed, limit, sampleIds, skipBad, resamples, modelOptions } = plan;
  return {
    software: { attune: version, 'node.js': process.versions.node, ...software },
    models,
    modelOptions,
    options: { seed, limit, ...(sampleIds.length > 0 && { sampleIds }), skipBad, resamples, level: 0.95 },
    tasks: describeTasks(plan),
    runs,
    ...(heads && { heads }),
  };
}

export const describeTasks = ({ tasks }: Pick<EvalPlan, 'tasks'>): ReportDocument['tasks'] =>
  tasks.map(({ task, split, files, total, items, bad }) => ({
    name: task.name,
    split,
    definition: contentHash(task),
    files,
    records: total,
    items: items.length,
    bad: bad.map(({ code, at }) => ({ code, at })),
  }));

/** As one would type it in a POSIX shell. */
export const commandLine = (command: string, argv: readonly string[]): string =>
  [
    'attune',
    command,
    ...argv.map((word) => (/^[\w./:=@%+,-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`)),
  ].join(' ');

/** One line of JSON: what scripts read. */
export function jsonOutput(
  runs: readonly RunReport[],
  costs: readonly TimeCost[],
  report: string,
  gates: readonly GateResult[] = [],
): string {
  const timed = runs.map((entry, i) => ({ ...entry, cost: { ...entry.cost, ...costs[i] } }));
  return `${JSON.stringify({ runs: timed, report, ...(gates.length > 0 && { gates }) })}\n`;
}

export interface Written {
  /** report.json */
  report: string;
  /** report.html */
  page: string;
}

/** Each file whole or not at all. @throws AttuneError RUN_WRITE */
export function writeReports(
  out: string,
  report: ReadableReport,
  summary = process.env.GITHUB_STEP_SUMMARY,
): Written {
  const markdown = reportMarkdown(report);
  const files = {
    'report.json': `${JSON.stringify(report.document, null, 2)}\n`,
    'report.md': markdown,
    'report.html': reportPage(report),
  };
  try {
    mkdirSync(out, { recursive: true });
    for (const [name, text] of Object.entries(files)) {
      const path = join(out, name);
      writeFileSync(`${path}.partial`, text);
      renameSync(`${path}.partial`, path);
    }
    if (summary) appendFileSync(summary, `${markdown}\n`);
  } catch (cause) {
    throw new AttuneError('RUN_WRITE', {
      at: out,
      found: (cause as Error).message,
      hint: 'Rows are kept; run the same command again for its report',
      cause,
    });
  }
  return { report: join(out, 'report.json'), page: join(out, 'report.html') };
}
