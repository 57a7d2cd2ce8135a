/**
 * Why the methods did on pictures what they did (docs/results.md), from the rows of the study and from looking into the
 * untouched model: `npm run testbed:results -- pictures` first, then `npm run testbed:evidence`.
 *
 * bench/results/pictures-evidence.json     the figures
 * docs/results.md                            the tables between its markers
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { lookInside } from './evidence-inside.ts';
import { captionRows, existenceRows } from './evidence-rows.ts';
import { evidenceText } from './evidence-tables.ts';
import { between } from './page.ts';
import type { Chosen } from './run.ts';

const HERE = 'bench/results';
const SCRATCH = '.attune/results';
const study = JSON.parse(readFileSync(`${HERE}/pictures.json`, 'utf8')) as {
  task: string;
  chosen: Chosen[];
}[];

const rowsOf = (task: string): string => {
  const path = `${SCRATCH}/${task}.test/rows.jsonl`;
  if (existsSync(path)) return readFileSync(path, 'utf8');
  throw new Error(`${path} is absent: npm run testbed:results -- pictures`);
};
const captions = 'worlds-captions-medium';
const chosen = new Map(
  study.find(({ task }) => task === captions)!.chosen.map((one) => [one.method, one.params]),
);
const evidence = {
  existence: existenceRows(rowsOf),
  captions: captionRows(rowsOf(captions)),
  inside: await lookInside(chosen),
};
writeFileSync(`${HERE}/pictures-evidence.json`, `${JSON.stringify(evidence, null, 1)}\n`);
between('pictures-evidence', evidenceText(evidence));
