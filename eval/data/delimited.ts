/**
 * Comma or tab separated values as RFC 4180 has them: quoted fields may hold separators, doubled quotes and line ends.
 * Two other ways exist because files in use are written so: `quote: false`, where quotes are ordinary characters, and
 * `quote: 'unescaped'`, where fields are quoted but quotes inside them were left single (MMLU's CSV files): there a quote
 * ends its field only in front of a separator or the end of the row.
 */
import { AttuneError } from '../../errors.ts';
import type { Line, Reject } from './lines.ts';

export interface DelimitedOptions {
  separator: ',' | '\t';
  quote: boolean | 'unescaped';
}

export interface DelimitedRow {
  cells: string[];
  /** Line where the row starts. */
  line: number;
}

/** @throws AttuneError DATA_SYNTAX through `reject`, naming the line where the row starts. */
export async function* delimitedRows(
  lines: AsyncIterable<Line>,
  file: string,
  options: DelimitedOptions,
  reject: Reject,
): AsyncGenerator<DelimitedRow> {
  let open: { text: string; line: number; last: number } | undefined;
  const broken = (line: number, found: string, expected: string) =>
    reject(
      new AttuneError('DATA_SYNTAX', {
        at: `${file}:${line}`,
        found,
        expected,
        hint: 'If quotes are ordinary characters in this file, set "quote" to false in the task\'s source; if fields are quoted and quotes inside them are not doubled, to "unescaped"',
      }),
    );
  for await (const { number, text, end } of lines) {
    if (open && number !== open.last + 1) {
      broken(open.line, `a quoted field over line ${open.last + 1}, which was rejected`, 'a whole row');
      open = undefined;
    }
    if (open && !text.includes('"')) {
      open = { text: open.text + text + end, line: open.line, last: number };
      continue;
    }
    const row = open ? { text: open.text + text, line: open.line } : { text, line: number };
    if (!open && text.trim() === '') continue;
    const cells = split(row.text, options);
    if (cells === 'open') {
      open = { text: row.text + end, line: row.line, last: number };
      continue;
    }
    open = undefined;
    if (typeof cells === 'string') {
      broken(row.line, cells, options.separator === ',' ? 'comma separated values' : 'tab separated values');
      continue;
    }
    yield { cells, line: row.line };
  }
  if (open) broken(open.line, 'a quoted field that never ends', 'a closing quote');
}

/** The cells of one row; 'open' while a quoted field goes on; another string says what is wrong. */
function split(row: string, { separator, quote }: DelimitedOptions): string[] | string {
  if (!quote) return row.split(separator);
  const cells: string[] = [];
  for (let at = 0; ; ) {
    if (row[at] !== '"') {
      const end = row.indexOf(separator, at);
      cells.push(end < 0 ? row.slice(at) : row.slice(at, end));
      if (end < 0) return cells;
      at = end + 1;
      continue;
    }
    let cell = '';
    for (at++; ; ) {
      const end = row.indexOf('"', at);
      if (end < 0) return 'open';
      cell += row.slice(at, end);
      at = end + 1;
      if (quote === 'unescaped') {
        if (row[at] === undefined || row[at] === separator) break;
        cell += '"';
        continue;
      }
      if (row[at] !== '"') break;
      cell += '"';
      at++;
    }
    cells.push(cell);
    if (at >= row.length) return cells;
    if (row[at] !== separator) return `"${row.slice(at, at + 8)}" after a closing quote`;
    at++;
  }
}
