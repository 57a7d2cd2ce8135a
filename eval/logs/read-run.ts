/** The rows of a run, whoever made it: attune, lm-evaluation-harness or Inspect. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { AttuneError } from '../../errors.ts';
import type { Row } from '../runner/row.ts';
import { readRows } from '../runner/row-file.ts';
import { readInspectLog } from './inspect.ts';
import { isSamples, readSamples, samplesIn } from './lm-eval.ts';

export interface LoggedRun {
  readonly rows: Row[];
  /** Metrics and scorers of another tool that attune has no equal of. */
  readonly leftOut: readonly string[];
}

/**
 * @param path folder that was --out of attune eval; folder or file of samples of lm-evaluation-harness; log of Inspect as JSON, or a
 *   folder of them
 * @throws AttuneError RUN_MISSING, JOURNAL_MALFORMED, LOG_FORMAT, LOG_UNFINISHED, LOG_REPEATED, LOG_EMPTY
 */
export async function readRun(path: string): Promise<LoggedRun> {
  const kind = statSync(path, { throwIfNoEntry: false });
  if (!kind || (kind.isDirectory() && existsSync(join(path, 'rows.jsonl')))) {
    return { rows: readRows(join(path, 'rows.jsonl')), leftOut: [] };
  }
  const leftOut = new Set<string>();
  const rows: Row[] = [];
  for (const file of kind.isDirectory() ? logsIn(path) : [path]) {
    rows.push(...(isSamples(file) ? await readSamples(file, leftOut) : readInspectLog(file, leftOut)));
  }
  refuseRepeated(rows);
  if (rows.some(({ terms }) => Object.keys(terms).length > 0)) return { rows, leftOut: [...leftOut].sort() };
  throw new AttuneError('LOG_EMPTY', {
    at: path,
    found: leftOut.size > 0 ? `values of ${[...leftOut].join(', ')} alone` : 'no sample',
    expected: 'samples with a metric that attune has (docs/evaluation.md)',
  });
}

function logsIn(folder: string): string[] {
  const samples = samplesIn(folder);
  if (samples.length > 0) return samples;
  const logs = readdirSync(folder).filter((name) => name.endsWith('.json'));
  if (logs.length > 0) return logs.sort().map((name) => join(folder, name));
  throw new AttuneError('RUN_MISSING', {
    at: folder,
    found: 'no rows.jsonl, no samples_….jsonl and no log',
    expected: 'a run of attune eval, of lm-evaluation-harness with --log_samples, or logs of Inspect as JSON',
  });
}

/** Two runs of one model and task in one folder cannot be told apart. */
function refuseRepeated(rows: readonly Row[]): void {
  const places = new Map<string, string>();
  for (const { key, at } of rows) {
    const first = places.get(key);
    if (first !== undefined) {
      throw new AttuneError('LOG_REPEATED', {
        at,
        found: `the same sample as ${first}`,
        expected: 'one run of each task',
        hint: 'Name the file of one run instead of the folder',
      });
    }
    places.set(key, at);
  }
}
