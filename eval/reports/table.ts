/** The report as a table for a terminal. */
import type { RunReport } from '../runner/report.ts';
import { number, probability, range, signed } from './numbers.ts';

type Cell = string;

/** One line for each run and metric; accuracies in percent, perplexities as they are. */
export function reportTable(runs: readonly RunReport[]): string {
  const several = new Set(runs.map(({ model }) => model)).size > 1;
  const header: Cell[] = [
    ...(several ? ['model'] : []),
    ...['task', 'intervention', 'metric', 'n', 'value', '95 %', 'difference', '95 %', 'p', 'p (Holm)'],
    ...['detectable', 'unparsable', 'skipped', 'tokens'],
  ];
  const lines = runs.flatMap((run) =>
    Object.entries(run.metrics).map(([metric, value]) => {
      const delta = run.delta[metric as keyof typeof run.delta];
      return [
        ...(several ? [run.model] : []),
        run.task,
        run.intervention,
        metric,
        `${run.n}`,
        number(metric, value.value),
        range(metric, value),
        delta ? signed(metric, delta.value) : '',
        delta ? range(metric, delta, signed) : '',
        delta ? probability(delta.p) : '',
        delta ? probability(delta.pHolm) : '',
        delta?.minimumDetectable === undefined ? '' : `±${number(metric, delta.minimumDetectable)}`,
        `${run.unparsable}`,
        `${run.skipped}`,
        `${run.cost.tokens}`,
      ];
    }),
  );
  return layout([header, ...lines]);
}

/** Columns aligned; numbers to the right, the three or four names at the left to the left. */
export function layout(rows: readonly Cell[][]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => [...row[column]!].length)));
  const names = rows[0]!.indexOf('metric');
  return rows
    .map((row) =>
      row
        .map((cell, column) =>
          column <= names ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!),
        )
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
