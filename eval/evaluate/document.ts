/** report.json of a run: its plan and its rows, as one object. */
import { createRequire } from 'node:module';
import type { HeadMaps, ReportDocument } from '../reports/document.ts';
import { contentHash } from '../runner/content-hash.ts';
import type { RunReport } from '../runner/report.ts';
import { type Shard, shardText } from '../shards/shard.ts';
import type { EvalPlan } from './plan.ts';

/** What is known of a run besides its plan and its rows. */
export interface Ran {
  models: { name: string; fingerprint: string }[];
  software: Record<string, string>;
  heads?: HeadMaps[] | undefined;
}

const { version } = createRequire(import.meta.url)('attune/package.json') as { version: string };

export type DocumentedPlan = Pick<
  EvalPlan,
  'tasks' | 'seed' | 'limit' | 'sampleIds' | 'skipBad' | 'resamples' | 'modelOptions'
> & { shard?: Shard | undefined };

export function documentOf(
  plan: DocumentedPlan,
  { models, software, heads }: Ran,
  runs: RunReport[],
): ReportDocument {
  const { seed, limit, sampleIds, skipBad, resamples, modelOptions, shard } = plan;
  const part = shard && { shard: shardText(shard) };
  return {
    software: { attune: version, 'node.js': process.versions.node, ...software },
    models,
    modelOptions,
    options: {
      ...part,
      seed,
      limit,
      ...(sampleIds.length > 0 && { sampleIds }),
      skipBad,
      resamples,
      level: 0.95,
    },
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
