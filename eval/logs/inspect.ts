/**
 * Logs of Inspect as JSON (`inspect log convert --to json`; `--log-format json`): a file for each run, its samples with a score for
 * each scorer. C and I, true and false, 1 and 0 are right and wrong: `acc`, or the metric that the scorer is named after.
 */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { AttuneError } from '../../errors.ts';
import { checkedJson } from '../checked-json.ts';
import { isMetric, type MetricName, metrics } from '../metrics/index.ts';
import type { Row } from '../runner/row.ts';
import { loggedRow } from './logged-row.ts';

const log = z.looseObject({
  version: z.literal(2),
  status: z.string(),
  eval: z.looseObject({ task: z.string(), model: z.string() }),
  samples: z.array(
    z.looseObject({
      id: z.union([z.string(), z.number()]),
      epoch: z.int(),
      scores: z.record(z.string(), z.looseObject({ value: z.unknown() })).nullish(),
    }),
  ),
});

/** @param leftOut receives scorers whose values no metric of attune's has. @throws AttuneError LOG_FORMAT, LOG_UNFINISHED */
export function readInspectLog(path: string, leftOut: Set<string>): Row[] {
  const {
    eval: run,
    samples,
    status,
  } = checkedJson(readFileSync(path, 'utf8'), log, {
    code: 'LOG_FORMAT',
    at: path,
    expected: 'a log of Inspect, version 2, as JSON and with its samples',
    hint: 'Make one of a .eval file with: inspect log convert --to json',
  });
  if (status !== 'success') {
    throw new AttuneError('LOG_UNFINISHED', {
      at: path,
      found: `status ${status}`,
      expected: 'a run that came to its end',
    });
  }
  const scorers = [...new Set(samples.flatMap(({ scores }) => Object.keys(scores ?? {})))];
  const epochs = Math.max(0, ...samples.map(({ epoch }) => epoch));
  return scorers.flatMap((scorer) => {
    const metric = metricOf(
      scorer,
      samples.flatMap(({ scores }) => (scores?.[scorer] ? [numberOf(scores[scorer].value)] : [])),
    );
    if (!metric) {
      leftOut.add(scorer);
      return [];
    }
    return samples.flatMap(({ id, epoch, scores }, i) => {
      const score = scores?.[scorer];
      if (!score) return [];
      return loggedRow({
        ...{ model: run.model, task: run.task, item: `${id}`, at: `${path}, sample ${i + 1}` },
        variant: scorers.length > 1 ? scorer : undefined,
        question: ['inspect', id, epoch],
        ...(epochs > 1 && { cluster: `${id}` }),
        terms: { [metric]: [numberOf(score.value)!, 1] },
      });
    });
  });
}

const LETTERS: Readonly<Record<string, number>> = { C: 1, I: 0, N: 0 };

function numberOf(value: unknown): number | undefined {
  if (typeof value === 'boolean') return Number(value);
  if (typeof value === 'string') return LETTERS[value];
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
}

/** undefined where its values are none of a metric: parts of a point, ratings, dictionaries. */
function metricOf(scorer: string, values: readonly (number | undefined)[]): MetricName | undefined {
  const name = scorer === 'exact' ? 'exact_match' : scorer;
  const metric = isMetric(name) ? name : 'acc';
  const whole = values.every((value) => value === 0 || value === 1);
  const parts = values.every((value) => value !== undefined && value >= 0 && value <= 1);
  const { binary, share } = metrics[metric];
  return whole || (parts && share && !binary) ? metric : undefined;
}
