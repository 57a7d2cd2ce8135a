/** What a shard leaves beside its rows, so that its report can be merged: which part it is of which run, and what computed it. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { AttuneError } from '../../errors.ts';
import { checkedJson } from '../checked-json.ts';
import type { Ran } from '../evaluate/document.ts';
import { writeWhole } from '../write-whole.ts';

const headMaps = z.object({
  model: z.string(),
  intervention: z.string(),
  prompts: z.number(),
  maps: z.array(
    z.object({ name: z.string(), rows: z.array(z.array(z.number())), neutral: z.number().optional() }),
  ),
});

const schema = z.object({
  format: z.literal('attune-shard-1'),
  shard: z.object({ index: z.int().min(1), count: z.int().min(1) }),
  /** Equal for the shards of one run: a hash of models, items and settings. */
  plan: z.string(),
  /** What `evaluate` was asked, without what changes no number. */
  options: z.record(z.string(), z.unknown()),
  labels: z.array(z.string()),
  command: z.string(),
  models: z.array(z.object({ name: z.string(), fingerprint: z.string() })),
  software: z.record(z.string(), z.string()),
  heads: z.array(headMaps).optional(),
});

export type Manifest = z.infer<typeof schema>;

const FILE = 'shard.json';

/** Written when all rows are there. @throws AttuneError RUN_WRITE */
export function writeManifest(out: string, manifest: Omit<Manifest, 'format' | keyof Ran> & Ran): void {
  const whole = { format: 'attune-shard-1', ...manifest };
  writeWhole(join(out, FILE), `${JSON.stringify(whole, null, 2)}\n`);
}

/** @throws AttuneError SHARD_UNFINISHED, SHARD_INVALID */
export function readManifest(folder: string): Manifest {
  const path = join(folder, FILE);
  if (!existsSync(path)) {
    const begun = existsSync(join(folder, 'rows.jsonl'));
    throw new AttuneError(begun ? 'SHARD_UNFINISHED' : 'SHARD_INVALID', {
      at: folder,
      found: begun ? 'rows without shard.json' : 'no shard.json',
      expected: 'the folder of a shard whose run came to its end',
      hint: begun
        ? 'Run the same attune eval --shard again: it goes on where it stopped'
        : 'Give the folders that were --out of attune eval --shard',
    });
  }
  return checkedJson(readFileSync(path, 'utf8'), schema, {
    code: 'SHARD_INVALID',
    at: path,
    expected: 'what attune eval --shard wrote',
  });
}
