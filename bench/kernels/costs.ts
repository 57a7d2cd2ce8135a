/** The cost table from a run of the kernels suite: what `--write-costs` puts into kernels/costs/table.ts. */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { AttuneError } from '../../errors.ts';
import { COSTS, type Cost, type CostTable } from '../../kernels/costs/choose.ts';
import type { Report } from '../suite.ts';
import { MEASURED } from './suite.ts';

const TABLE = fileURLToPath(new URL('../../kernels/costs/table.ts', import.meta.url));
const HEAD =
  '/** Written by `attune bench kernels --write-costs`; one JSON object, in a module so that it needs no loader. */\n';

/**
 * @param before the table so far; what was not measured anew is kept of it, if the machine is the same
 * @throws AttuneError COSTS_INCOMPLETE for a run that leaves cases out on another machine
 */
export function costsOf({ suite, clock, machine, rows }: Report, before: CostTable): CostTable {
  const ratios = new Map(rows.map(({ case: name, ratio }) => [name, ratio]));
  const costs = [...MEASURED].flatMap(([name, { ep, shape, S, T, contender }]): Cost[] => {
    const { method, lowering } = contender;
    if (method === undefined) return [];
    const ratio = ratios.get(name);
    if (ratio != null) return [{ ep, shape, method, lowering, S, T, ratio: Math.round(ratio * 1000) / 1000 }];
    if (before.rows.length > 0 && before.machine.cpu !== machine.cpu) {
      throw new AttuneError('COSTS_INCOMPLETE', {
        at: `suite ${suite}`,
        found: `no measurement of "${name}" on ${machine.cpu}, and a table of ${before.machine.cpu}`,
        hint: 'Run the whole suite: attune bench kernels --write-costs.',
      });
    }
    const same = (one: Cost) =>
      one.ep === ep && one.shape === shape && one.method === method && one.lowering === lowering;
    return before.rows.filter((one) => same(one) && one.S === S && one.T === T);
  });
  return { command: 'attune bench kernels --write-costs', clock, machine: { ...machine }, rows: costs };
}

/** @returns the path written */
export function writeCosts(report: Report, path = TABLE): string {
  const { rows, ...head } = costsOf(report, COSTS);
  const lines = rows.map((row) => `  ${JSON.stringify(row)}`).join(',\n');
  const start = JSON.stringify(head).slice(0, -1);
  writeFileSync(
    path,
    `${HEAD}// biome-ignore-all lint/suspicious/noApproximativeNumericConstant: measured, whatever else they look like\n// biome-ignore format: one row a line\nexport const TABLE = ${start},"rows":[\n${lines}\n]};\n`,
  );
  return path;
}
