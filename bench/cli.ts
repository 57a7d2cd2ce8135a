/** attune bench: measure a suite against its bounds on this machine. */

import { AttuneError } from '../errors.ts';
import { helpText, readArguments, type Usage } from '../eval/cli/arguments.ts';
import { writeCosts } from './kernels/costs.ts';
import { keep } from './measured.ts';
import type { Clock } from './paired.ts';
import { exitCode, type Row, runSuite, type Suite } from './suite.ts';
import { findSuite, SUITES } from './suites.ts';
import { reportText } from './table.ts';

const USAGE: Usage = {
  command: 'bench',
  summary: 'measure a suite against its bounds; exit 2 when one is missed',
  positionals: '<suite>',
  flags: {
    json: { type: 'boolean', description: 'one JSON document on stdout' },
    case: { type: 'string', value: '<name>', multiple: true, description: 'only this case; may be repeated' },
    clock: {
      type: 'string',
      value: '<wall|cpu>',
      description: 'wall time (default), or processor time of the process, for machines that are shared',
    },
    keep: {
      type: 'boolean',
      description: 'put the rows into bench/measured, and their table into docs/performance.md',
    },
    'write-costs': {
      type: 'boolean',
      description: 'of the suite kernels: put the ratios into the table lowerings are chosen by',
    },
    effort: {
      type: 'string',
      value: '<n>',
      description: 'n times as many repetitions, 0.2 for a glance; default 1',
    },
  },
  examples: [
    'attune bench graph',
    'attune bench overhead --clock cpu --json > overhead.json',
    'attune bench kernels --clock cpu --write-costs --keep',
    `attune bench overhead --case 'one γ, prefill 2048'`,
  ],
};

/** @throws AttuneError SUITE_UNKNOWN, CASE_UNKNOWN, ARGUMENT_* */
export async function benchCommand(argv: readonly string[]): Promise<number> {
  const args = readArguments(USAGE, argv);
  const [name] = args.positionals;
  if (args.flag('help') || name === undefined) {
    const suites = name === undefined ? suiteList() : caseList(findSuite(name));
    process.stdout.write(`${helpText(USAGE)}\n${suites}`);
    return args.flag('help') ? 0 : 1;
  }
  const report = await runSuite(findSuite(name), {
    clock: clockOf(args.text('clock')),
    effort: effortOf(args.text('effort')),
    cases: args.list('case'),
    onRow: (row) => process.stderr.write(progress(row)),
  });
  if (args.flag('write-costs')) {
    if (name !== 'kernels') {
      throw new AttuneError('ARGUMENT_INVALID', { at: '--write-costs', found: name, expected: 'kernels' });
    }
    process.stderr.write(`wrote ${await writeCosts(report)}\n`);
  }
  if (args.flag('keep')) process.stderr.write(`kept in ${keep(report, `attune bench ${argv.join(' ')}`)}\n`);
  process.stdout.write(args.flag('json') ? `${JSON.stringify(report)}\n` : reportText(report));
  return exitCode(report);
}

/** @throws AttuneError ARGUMENT_INVALID */
function effortOf(text = '1'): number {
  const effort = Number(text);
  if (effort > 0 && Number.isFinite(effort)) return effort;
  throw new AttuneError('ARGUMENT_INVALID', { at: '--effort', found: text, expected: 'a number above 0' });
}

function clockOf(text = 'wall'): Clock {
  if (text === 'wall' || text === 'cpu') return text;
  throw new AttuneError('ARGUMENT_INVALID', { at: '--clock', found: text, expected: 'wall or cpu' });
}

function progress({ case: name, ratio, ms, value, pass }: Row): string {
  const [measured, unit] =
    ratio !== null ? [ratio, '×'] : ms !== null ? [ms, ' ms'] : [value ?? Number.NaN, ''];
  return `${pass ? '  ' : '! '}${name}: ${measured.toFixed(3)}${unit}\n`;
}

function suiteList(): string {
  const width = Math.max(...SUITES.map(({ name }) => name.length)) + 2;
  const lines = SUITES.map(
    ({ name, summary, cases }) => `  ${name.padEnd(width)}${summary} (${cases.length} cases)\n`,
  );
  return `Suites (attune bench <suite> --help lists its cases):\n${lines.join('')}`;
}

const caseList = ({ name, cases }: Suite): string =>
  `Cases of ${name}:\n${cases.map((one) => `  ${one.case}\n`).join('')}`;
