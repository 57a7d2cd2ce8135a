/** Head statistics in words, and as tables for a terminal. */
import { short } from '../reports/head-map.ts';

export interface CalibratedTable {
  readonly name: string;
  /** [layer][head] */
  readonly rows: readonly (readonly number[])[];
}

/** What each statistic is, in a line. */
export const EXPLAINED: Readonly<Record<string, string>> = {
  sink: 'Mean attention of a row to the first token (α₀ of the sink metric).',
  'sink-rate': 'Share of samples in which the first token is a sink, α₀ > 0.3.',
  'internal-sinks': 'Sinks behind the first token, a sample.',
  entropy: 'Mean entropy of a row, in nats: how widely the head looks.',
  'attention.first': 'Share of attention that goes to the first token.',
  'attention.sinks': 'Share that goes to sinks behind the first token.',
  'attention.punctuation': 'Share that goes to punctuation and line ends.',
  'attention.self': 'Share that stays on the row’s own token.',
  'attention.rest': 'Share that goes to all other tokens.',
  echo: 'Random tokens said again: weight on earlier occurrences of the row’s token.',
  induction: 'Random tokens said again: weight on what followed those occurrences.',
  retrieval:
    'Copy score: share of the answer’s tokens for which the head looks at that very token in the prompt.',
  influence: 'Rise of the loss, nats a token, when the head alone is switched off.',
};

/** Wider tables wrap in a terminal; of those the heads that stand out are listed. */
const MOST_COLUMNS = 16;
const LISTED = 12;

export function tableText({ name, rows }: CalibratedTable): string {
  const heads = Math.max(...rows.map((row) => row.length));
  const title = `${name}: ${EXPLAINED[name] ?? ''}`;
  if (heads > MOST_COLUMNS) {
    const all = rows.flatMap((row, layer) => row.map((value, head) => ({ layer, head, value })));
    const first = all.sort((a, b) => b.value - a.value).slice(0, LISTED);
    return `${title}\n  largest: ${first.map(({ layer, head, value }) => `${layer}.${head} ${short(value)}`).join('  ')}\n`;
  }
  const header = ['layer', ...Array.from({ length: heads }, (_, head) => `${head}`)];
  const lines = [header, ...rows.map((row, layer) => [`${layer}`, ...row.map(short)])];
  const width = Math.max(...lines.flat().map(({ length }) => length));
  return `${title}\n${lines.map((line) => `  ${line.map((cell) => cell.padStart(width)).join('  ')}`).join('\n')}\n`;
}
