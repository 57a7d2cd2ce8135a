/** The numbers of a report as flat records: one for each model, task, intervention and metric. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { AttuneError } from '../../errors.ts';
import { checkedJson } from '../checked-json.ts';
import { isMetric, type MetricName } from '../metrics/index.ts';

/** Shares from 0 to 1, as in report.json. Of the baseline there is no difference. */
export interface Result {
  readonly model: string;
  readonly task: string;
  readonly intervention: string;
  readonly metric: MetricName;
  readonly n: number;
  readonly value: number;
  readonly low: number | null;
  readonly high: number | null;
  readonly delta: number | null;
  readonly delta_low: number | null;
  readonly delta_high: number | null;
  readonly p: number | null;
  readonly p_holm: number | null;
  readonly unparsable: number;
}

const bound = z.number().nullable();
const value = z.object({ value: z.number(), low: bound, high: bound });
const delta = value.extend({ p: bound, pHolm: bound });
const metric = z.custom<MetricName>((name) => typeof name === 'string' && isMetric(name));
const schema = z.object({
  runs: z.array(
    z.object({
      model: z.string(),
      task: z.string(),
      intervention: z.string(),
      n: z.number(),
      metrics: z.partialRecord(metric, value),
      delta: z.partialRecord(metric, delta),
      unparsable: z.number(),
    }),
  ),
});

/** @param run folder that was --out of attune eval or merge @throws AttuneError RUN_MISSING, REPORT_INVALID */
export function readResults(run: string): Result[] {
  const path = join(run, 'report.json');
  if (!existsSync(path)) {
    throw new AttuneError('RUN_MISSING', {
      at: path,
      found: 'no such file',
      expected: 'the report of a run of attune eval',
      hint: 'Give the folder that was its --out; a run that was cut short writes its report when it is run again',
    });
  }
  const error = { code: 'REPORT_INVALID', at: path, expected: 'a report.json of attune eval' };
  return checkedJson(readFileSync(path, 'utf8'), schema, error).runs.flatMap(
    ({ metrics, delta: deltas, ...run }) =>
      (Object.keys(metrics) as MetricName[]).map((name) => {
        const change = deltas[name];
        return {
          ...{ model: run.model, task: run.task, intervention: run.intervention, metric: name, n: run.n },
          ...metrics[name]!,
          ...{
            delta: change?.value ?? null,
            delta_low: change?.low ?? null,
            delta_high: change?.high ?? null,
          },
          ...{ p: change?.p ?? null, p_holm: change?.pHolm ?? null, unparsable: run.unparsable },
        };
      }),
  );
}
