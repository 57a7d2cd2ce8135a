/** The cost table from a run of the kernels suite: what `--write-costs` puts into kernels/costs/table.ts. */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { AttuneError } from '../../errors.ts';
import { COSTS, type Cost, type CostTable } from '../../kernels/costs/costs.ts';
import type { Report } from '../suite.ts';
import { costKey, MEASURED } from './suite.ts';

const TABLE = fileURLToPath(new URL('../../kernels/costs/table.ts', import.meta.url));
const HEAD =
  '/** Written by `attune bench kernels --write-costs`; one JSON object, in a module so that it needs no loader. */\n';

/**
 * @param before the table so far; what was not measured anew is kept of it, if the machine is the same
 * @throws AttuneError COSTS_INCOMPLETE for a run that leaves cases out on another machine
 */
export async function costsOf(
  { suite, clock, machine, rows }: Report,
  before: CostTable,
): Promise<CostTable> {
  const ratios = new Map(rows.map(({ case: name, ratio }) => [name, ratio]));
  const costs: Cost[] = [];
  const works = new Map<string, string>();
  for (const [name, { ep, shape: model, S, T, contender, lowering }] of MEASURED) {
    const work = works.get(contender.name) ?? (await costKey(contender, model, T));
    works.set(contender.name, work);
    // What all lowerings do alike is no matter of choosing one.
    if (work === '') continue;
    const shape = model.name;
    const ratio = ratios.get(name);
    if (ratio != null) {
      costs.push({ ep, shape, work, lowering, S, T, ratio: Math.round(ratio * 1000) / 1000 });
      continue;
    }
    if (before.rows.length > 0 && before.machine.cpu !== machine.cpu) {
      throw new AttuneError('COSTS_INCOMPLETE', {
        at: `suite ${suite}`,
        found: `no measurement of "${name}" on ${machine.cpu}, and a table of ${before.machine.cpu}`,
        hint: 'Run the whole suite: attune bench kernels --write-costs.',
      });
    }
    const same = (one: Cost) =>
      one.ep === ep && one.shape === shape && one.work === work && one.lowering === lowering;
    // Rows of several contenders that do the same are not told apart: they were kept with the first.
    const kept = before.rows.filter((one) => same(one) && one.S === S && one.T === T);
    costs.push(...kept.filter((one) => !costs.includes(one)));
  }
  return { command: 'attune bench kernels --write-costs', clock, machine: { ...machine }, rows: costs };
}

/** @returns the path written */
export async function writeCosts(report: Report, path = TABLE): Promise<string> {
  const { rows, ...head } = await costsOf(report, COSTS);
  const lines = rows.map((row) => `  ${JSON.stringify(row)}`).join(',\n');
  const start = JSON.stringify(head).slice(0, -1);
  writeFileSync(
    path,
    `${HEAD}// biome-ignore-all lint/suspicious/noApproximativeNumericConstant: measured, whatever else they look like\n// biome-ignore format: one row a line\nexport const TABLE = ${start},"rows":[\n${lines}\n]};\n`,
  );
  return path;
}
