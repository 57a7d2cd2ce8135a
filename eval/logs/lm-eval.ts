/**
 * Samples of lm-evaluation-harness (`--output_path DIR --log_samples`): samples_<task>_<time>.jsonl, a line for each document and
 * filter, with the values of the task's metrics under their names; results_<time>.json beside them names the model. Of the harness's
 * sums a perplexity of a text is [log-likelihood, words or bytes], one of a continuation its log-likelihood.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import { checkedJson } from '../checked-json.ts';
import { readLines } from '../data/lines.ts';
import { isMetric, metrics } from '../metrics/index.ts';
import type { Terms } from '../metrics/metric.ts';
import type { Row } from '../runner/row.ts';
import { loggedRow } from './logged-row.ts';

const NAME = /^samples_(?<task>.+)_(?<time>\d{4}-\d{2}-\d{2}T[\d.:-]+)\.jsonl(\.gz)?$/;

const sample = z.looseObject({
  doc_id: z.int(),
  doc_hash: z.string().optional(),
  prompt_hash: z.string().optional(),
  filter: z.string().default('none'),
  metrics: z.array(z.string()).optional(),
});

const results = z.looseObject({ model_name: z.string().nullish() });

export const isSamples = (path: string): boolean => NAME.test(basename(path));

/** In the folder, or in the one for each model that the harness makes in it. */
export function samplesIn(folder: string): string[] {
  const entries = readdirSync(folder, { withFileTypes: true });
  const below = entries.filter((entry) => entry.isDirectory()).map(({ name }) => join(folder, name));
  const inside = (path: string) =>
    readdirSync(path)
      .filter(isSamples)
      .map((name) => join(path, name));
  return [folder, ...below].flatMap(inside).sort();
}

/** @param leftOut receives names of metrics that attune does not have. @throws AttuneError LOG_FORMAT, DATA_FILE, DATA_ENCODING */
export async function readSamples(path: string, leftOut: Set<string>): Promise<Row[]> {
  const { task, time } = NAME.exec(basename(path))!.groups as { task: string; time: string };
  const model = modelOf(dirname(path), time);
  const rows: Row[] = [];
  for await (const { text, number } of readLines(path)) {
    if (text.trim() === '') continue;
    const at = `${path}:${number}`;
    const { doc_id, doc_hash, prompt_hash, filter, ...rest } = checkedJson(text, sample, {
      code: 'LOG_FORMAT',
      at,
      expected: 'a sample of lm-evaluation-harness 0.4: doc_id, filter and values of metrics',
    });
    const terms = termsOf(rest, leftOut);
    rows.push(
      loggedRow({
        ...{ model, task, at, terms, item: `${doc_id}` },
        variant: filter === 'none' ? undefined : filter,
        question: ['lm-evaluation-harness', doc_id, doc_hash ?? prompt_hash ?? null],
      }),
    );
  }
  return rows;
}

function termsOf(values: Record<string, unknown>, leftOut: Set<string>): Record<string, Terms> {
  const named = values.metrics as string[] | undefined;
  const names = named ?? Object.keys(values).filter(isMetric);
  return Object.fromEntries(
    names.flatMap((name) => {
      const terms = isMetric(name) ? termOf(name, values[name]) : undefined;
      if (!terms) leftOut.add(name);
      return terms ? [[name, terms]] : [];
    }),
  );
}

const SUMS: readonly string[] = ['word_perplexity', 'byte_perplexity', 'bits_per_byte'];

function termOf(name: keyof typeof metrics, value: unknown): Terms | undefined {
  if (SUMS.includes(name)) {
    const [sum, count] = Array.isArray(value) ? (value as unknown[]) : [];
    return typeof sum === 'number' && typeof count === 'number' ? [-sum, count] : undefined;
  }
  if (typeof value === 'boolean') return [Number(value), 1];
  if (typeof value !== 'number' || !Number.isFinite(value)) return undefined;
  if (name === 'perplexity') return [-value, 1];
  const { binary, share } = metrics[name];
  const fits = binary ? value === 0 || value === 1 : !share || (value >= 0 && value <= 1);
  return fits ? [value, 1] : undefined;
}

/** The model that results_<time>.json names; else the folder, which the harness names after it. */
function modelOf(folder: string, time: string): string {
  const path = join(folder, `results_${time}.json`);
  if (!existsSync(path)) return basename(folder);
  const { model_name } = checkedJson(readFileSync(path, 'utf8'), results, {
    code: 'LOG_FORMAT',
    at: path,
    expected: 'the results of a run of lm-evaluation-harness',
  });
  return model_name || basename(folder);
}
