/**
 * Shards of one run, put together: the rows of all, and the report that one run without shards would have written. The tasks are read
 * again, so that items are known in their order; no model is.
 */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { AttuneError } from '../../errors.ts';
import { canonicalJson } from '../../interventions/define.ts';
import { type Evaluation, evaluationOf } from '../evaluate/evaluate.ts';
import { checkEvaluateOptions } from '../evaluate/options.ts';
import { type EvalPlan, evalPlan } from '../evaluate/plan.ts';
import type { ReadIntervention } from '../evaluate/settings.ts';
import type { Row } from '../runner/row.ts';
import { readRows, writeRows } from '../runner/row-file.ts';
import { rowKeys, type TaskRows } from '../runner/run.ts';
import { type Manifest, readManifest } from './manifest.ts';
import { shardText } from './shard.ts';

export interface MergeOptions {
  /** Folders of the shards, in any order; files among them are passed over, as a shell's * names them too. */
  readonly folders: readonly string[];
  /** Default runs/<hash of what is run>. */
  readonly out?: string | undefined;
  /** Where the tasks' files are now, if elsewhere. */
  readonly data?: string | undefined;
}

/**
 * @throws AttuneError OPTION_*, SHARD_INVALID, SHARD_UNFINISHED, SHARD_FOREIGN, SHARD_TWICE, SHARD_MISSING, SHARD_DIFFERS; JOURNAL_MALFORMED;
 *   what reading the tasks throws; RUN_WRITE
 */
export async function mergeShards(
  { folders, out, data }: MergeOptions,
  readIntervention: ReadIntervention,
): Promise<Evaluation & { plan: EvalPlan; out: string }> {
  const shards = folders
    .filter((path) => !statSync(path, { throwIfNoEntry: false })?.isFile())
    .map((folder) => ({ folder, manifest: readManifest(folder) }));
  const { manifest } = checkShards(shards);
  const plan = await planOf(manifest, data, readIntervention);
  const rows = new Map<string, Row>();
  for (const { folder } of shards) {
    for (const row of readRows(join(folder, 'rows.jsonl'))) if (!rows.has(row.key)) rows.set(row.key, row);
  }
  const sets = manifest.models.flatMap((model) => plan.tasks.map((task) => setOf(model, task, plan, rows)));
  const to = out ?? join('runs', plan.id);
  const all = sets.flatMap((set) => set.rows.flat());
  writeRows(join(to, 'rows.jsonl'), all);
  const heads = shards.flatMap((shard) => shard.manifest.heads ?? []);
  const ran = { ...manifest, heads: heads.length > 0 ? heads : undefined };
  const merged = evaluationOf(plan, ran, sets, { out: to, command: manifest.command });
  return { ...merged, plan, out: to };
}

interface Found {
  folder: string;
  manifest: Manifest;
}

/** All parts of one run, each once. */
function checkShards(shards: readonly Found[]): Found {
  const [first] = shards;
  if (!first) {
    throw new AttuneError('ARGUMENT_MISSING', {
      found: 'no folder of a shard',
      expected: 'the folders that were --out of attune eval --shard',
    });
  }
  const { count } = first.manifest.shard;
  const byIndex = new Map<number, Found>();
  for (const shard of shards) {
    const { folder, manifest } = shard;
    refuseForeign(shard, first);
    const other = byIndex.get(manifest.shard.index);
    if (other) {
      throw new AttuneError('SHARD_TWICE', {
        at: folder,
        found: `shard ${shardText(manifest.shard)}, as in ${other.folder}`,
        expected: 'every shard once',
      });
    }
    byIndex.set(manifest.shard.index, shard);
  }
  const missing = Array.from({ length: count }, (_, i) => i + 1).filter((index) => !byIndex.has(index));
  if (missing.length === 0) return byIndex.get(1)!;
  throw new AttuneError('SHARD_MISSING', {
    found: `${shards.length} of ${count} shards; missing: ${missing.slice(0, 20).join(', ')}${missing.length > 20 ? ', …' : ''}`,
    expected: 'all of them',
    hint: `Run what is missing with --shard ${missing[0]}/${count}`,
  });
}

/** @throws AttuneError SHARD_FOREIGN, SHARD_DIFFERS */
function refuseForeign({ folder, manifest }: Found, first: Found): void {
  const asked = ({ plan, shard, options }: Manifest) => canonicalJson({ plan, count: shard.count, options });
  if (asked(manifest) !== asked(first.manifest)) {
    throw new AttuneError('SHARD_FOREIGN', {
      at: folder,
      found: `shard ${shardText(manifest.shard)} of run ${manifest.plan}: ${manifest.command}`,
      expected: `a shard of run ${first.manifest.plan}, as ${first.folder} is: ${first.manifest.command}`,
    });
  }
  for (const what of ['models', 'software'] as const) {
    const [found, expected] = [manifest, first.manifest].map((one) => canonicalJson(one[what]));
    if (found === expected) continue;
    throw new AttuneError('SHARD_DIFFERS', {
      at: folder,
      found: `${what} ${found}`,
      expected: `${expected}, as in ${first.folder}`,
      hint: 'Numbers of different files or versions do not belong into one report. Run this shard again with the others’.',
    });
  }
}

/** What was run, read again from what was asked. */
async function planOf(
  { options, plan: id, labels }: Manifest,
  data: string | undefined,
  readIntervention: ReadIntervention,
): Promise<EvalPlan> {
  const asked: unknown = { ...options, ...(data !== undefined && { data }) };
  checkEvaluateOptions(asked);
  const plan = await evalPlan(asked, readIntervention);
  if (plan.id !== id) {
    throw new AttuneError('SHARD_FOREIGN', {
      found: `tasks that make run ${plan.id}`,
      expected: `those of run ${id}`,
      hint: 'Task files, data or profiles have changed since the shards ran, or others lie here. Name their folder with --data.',
    });
  }
  return {
    ...plan,
    settings: plan.settings.map((setting, i) => ({ ...setting, label: labels[i] ?? setting.label })),
  };
}

function setOf(
  { name, fingerprint }: { name: string; fingerprint: string },
  task: EvalPlan['tasks'][number],
  { settings }: EvalPlan,
  known: ReadonlyMap<string, Row>,
): TaskRows {
  const keys = rowKeys(fingerprint, task, settings);
  const missing = keys.flat().filter((key) => !known.has(key)).length;
  if (missing > 0) {
    throw new AttuneError('SHARD_UNFINISHED', {
      at: `task ${task.task.name}`,
      found: `${missing} of ${keys.flat().length} rows in no shard`,
      expected: 'all of them: rows.jsonl of a shard was cut or changed',
      hint: 'Run the shards again: each computes what it lacks',
    });
  }
  return { model: name, task, settings, rows: keys.map((row) => row.map((key) => known.get(key)!)) };
}
