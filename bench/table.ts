/** A report as text. */
import type { Report, Row } from './suite.ts';

export function reportText(report: Report): string {
  const { cpu, cores, memoryGB, platform, node, onnxruntime, transformers, load } = report.machine;
  return [
    `suite ${report.suite}, ${report.clock} clock`,
    `${cpu}, ${cores} cores, ${memoryGB} GB, ${platform}, Node ${node}, onnxruntime ${onnxruntime}, transformers.js ${transformers}, load ${load}`,
    '',
    ...rowsTable(report.rows),
    '',
  ].join('\n');
}

const TITLES = ['case', 'baseline ms', 'ms', 'ratio', 'value', 'bound', '', 'note'];

function rowsTable(rows: readonly Row[]): string[] {
  const cells = rows.map((row) => [
    row.case,
    number(row.baselineMs, 2),
    number(row.ms, 2),
    number(row.ratio, 3),
    number(row.value, 2),
    row.bound === null ? '' : `≤ ${row.bound}`,
    row.bound === null ? '' : row.pass ? 'ok' : 'MISSED',
    row.note,
  ]);
  const table = [TITLES, ...cells];
  // A column that no case fills is left out.
  const used = TITLES.map((_, column) => cells.some((row) => row[column] !== ''));
  const widths = TITLES.map((_, column) => Math.max(...table.map((row) => row[column]!.length)));
  return table.map((row) =>
    row
      .map((cell, column) =>
        isNumeric(column) ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!),
      )
      .filter((_, column) => used[column])
      .join('  ')
      .trimEnd(),
  );
}

function isNumeric(column: number): boolean {
  return column >= 1 && column <= 4;
}

function number(value: number | null, digits: number): string {
  return value === null ? '' : value.toFixed(digits);
}
