/** attune export: the numbers of a run for spreadsheets, papers, scripts and plots. */
import { AttuneError, nearest } from '../../errors.ts';
import { csv } from '../exports/csv.ts';
import { jsonLines } from '../exports/json-lines.ts';
import { latex } from '../exports/latex.ts';
import { type Result, readResults } from '../exports/results.ts';
import { vegaLite } from '../exports/vega-lite.ts';
import { writeWhole } from '../write-whole.ts';
import { helpText, readArguments, type Usage } from './arguments.ts';

const FORMATS: Readonly<Record<string, (results: readonly Result[]) => string>> = {
  csv,
  jsonl: jsonLines,
  latex,
  'vega-lite': vegaLite,
};
const NAMES = Object.keys(FORMATS);

const USAGE: Usage = {
  command: 'export',
  summary: 'the numbers of runs (folders that attune eval or merge wrote) for spreadsheets, papers and plots',
  positionals: '<run>…',
  flags: {
    format: { type: 'string', value: '<name>', description: `needed; ${NAMES.join(', ')}` },
    out: { type: 'string', value: '<file>', description: 'default: stdout' },
    json: { type: 'boolean', description: 'one JSON document on stdout, the results as a list' },
  },
  examples: [
    'attune export runs/zerotuning --format csv --out results.csv',
    'attune export runs/a runs/b --format latex',
    'attune export runs/a --format vega-lite --out effects.vl.json',
  ],
};

/** @throws AttuneError ARGUMENT_*, RUN_MISSING, REPORT_INVALID, RUN_WRITE */
export async function exportCommand(
  argv: readonly string[],
  { stdout }: { stdout: { write(text: string): unknown } } = process,
): Promise<number> {
  const args = readArguments(USAGE, argv);
  if (args.flag('help')) {
    stdout.write(helpText(USAGE));
    return 0;
  }
  if (args.positionals.length === 0) {
    throw new AttuneError('ARGUMENT_MISSING', { expected: 'a folder that was --out of attune eval' });
  }
  const form = args.flag('json') ? asDocument : formOf(args.text('format'));
  const text = form(args.positionals.flatMap(readResults));
  const out = args.text('out');
  if (out === undefined) stdout.write(text);
  else writeWhole(out, text);
  return 0;
}

const asDocument = (results: readonly Result[]): string => `${JSON.stringify({ results })}\n`;

function formOf(name: string | undefined): (results: readonly Result[]) => string {
  const form = name === undefined ? undefined : FORMATS[name];
  if (form) return form;
  throw new AttuneError(name === undefined ? 'ARGUMENT_MISSING' : 'ARGUMENT_INVALID', {
    at: '--format',
    found: name,
    expected: NAMES.join(', '),
    ...(name !== undefined && { hint: `Did you mean ${nearest(name, NAMES, 1)[0]}?` }),
  });
}
