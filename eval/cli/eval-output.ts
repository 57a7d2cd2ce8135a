/** What commands that evaluate write to stdout, and how they are called. */
import type { TimeCost } from '../runner/costs.ts';
import type { GateResult } from '../runner/gate.ts';
import type { RunReport } from '../runner/report.ts';

/** As one would type it in a POSIX shell. */
export const commandLine = (command: string, argv: readonly string[]): string =>
  [
    'attune',
    command,
    ...argv.map((word) => (/^[\w./:=@%+,-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`)),
  ].join(' ');

/** One line of JSON: what scripts read. */
export function jsonOutput(
  runs: readonly RunReport[],
  costs: readonly TimeCost[],
  report: string,
  gates: readonly GateResult[] = [],
): string {
  const timed = runs.map((entry, i) => ({ ...entry, cost: { ...entry.cost, ...costs[i] } }));
  return `${JSON.stringify({ runs: timed, report, ...(gates.length > 0 && { gates }) })}\n`;
}
