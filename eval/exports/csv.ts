/** RFC 4180: a header, a line for each result, empty where there is nothing. Spreadsheets do not take a name for a formula. */
import type { Result } from './results.ts';

const COLUMNS = [
  ...['model', 'task', 'intervention', 'metric', 'n', 'value', 'low', 'high'],
  ...['delta', 'delta_low', 'delta_high', 'p', 'p_holm', 'unparsable'],
] as (keyof Result)[];

export const csv = (results: readonly Result[]): string =>
  [COLUMNS, ...results.map((result) => COLUMNS.map((name) => cell(result[name])))]
    .map((row) => `${row.join(',')}\r\n`)
    .join('');

function cell(value: string | number | null): string {
  if (typeof value !== 'string') return value === null ? '' : `${value}`;
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
