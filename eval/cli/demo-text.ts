/** The demo's result as a page of text: a block for each task, a line for each method and metric. */

import type { MetricName } from '../metrics/index.ts';
import { number, probability, range, signed } from '../reports/numbers.ts';
import type { TimeCost } from '../runner/costs.ts';
import type { RunReport } from '../runner/report.ts';
import type { DemoStage } from './demo-stages.ts';
import type { Paint } from './paint.ts';

export interface DemoRun {
  run: RunReport;
  cost: TimeCost;
}

/** @param runs the baseline first, then the methods in their order, for each task of each stage. */
export function demoText(stages: readonly DemoStage[], runs: readonly DemoRun[], paint: Paint): string {
  return stages
    .flatMap(({ model, tasks, methods }) =>
      tasks.map(({ task, title, shown }) => {
        const own = runs.filter(({ run }) => run.task === task);
        const titles = ['baseline', ...methods.map((method) => method.title)];
        const head = `${paint.bold(model)}: ${title} ${paint.dim(`(${task}, n = ${own[0]!.run.n})`)}`;
        return [head, ...block(own, titles, shown as readonly MetricName[], paint)].join('\n');
      }),
    )
    .join('\n\n');
}

function block(
  runs: readonly DemoRun[],
  titles: readonly string[],
  shown: readonly MetricName[],
  paint: Paint,
): string[] {
  const places = runs[0]!.run.positions?.map(({ position }) => position);
  const header = [
    '',
    ...shown.flatMap((metric) => [metric, '', 'difference', '', 'p']),
    'time',
    ...(places ? [`${shown[0]} by place ${places.map((place) => place + 1).join(' ')}`] : []),
  ];
  const rows = runs.map(({ run, cost }, i) => [
    titles[i]!,
    ...shown.flatMap((metric) => cells(run, metric)),
    i === 0 ? '' : `${cost.overhead.value.toFixed(2)}×`,
    ...(places ? [run.positions!.map(({ metrics }) => whole(metrics[shown[0]!]?.value)).join(' ')] : []),
  ]);
  const widths = header.map((_, c) => Math.max(...[header, ...rows].map((row) => [...row[c]!].length)));
  const line = (row: readonly string[]) =>
    `  ${row
      .map((cell, c) =>
        c === 0 || (places && c === row.length - 1) ? cell.padEnd(widths[c]!) : cell.padStart(widths[c]!),
      )
      .join('  ')
      .trimEnd()}`;
  return [paint.dim(line(header)), ...rows.map((row) => line(row))];
}

function cells(run: RunReport, metric: MetricName): string[] {
  const value = run.metrics[metric];
  const delta = run.delta[metric];
  return [
    value ? number(metric, value.value) : '–',
    value ? `[${range(metric, value)}]` : '',
    delta ? signed(metric, delta.value) : '',
    delta ? `[${range(metric, delta, signed)}]` : '',
    delta ? probability(delta.pHolm) : '',
  ];
}

const whole = (share: number | undefined): string => (share === undefined ? '–' : (100 * share).toFixed(0));
