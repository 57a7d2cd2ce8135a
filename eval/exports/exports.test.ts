/** Exports of a report: what other programs read. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { exportCommand } from '../cli/export.ts';

const root = mkdtempSync(join(tmpdir(), 'attune-exports-'));
afterAll(() => rmSync(root, { recursive: true }));
const path = (...names: string[]) => join(root, ...names);

const run = (
  name: string,
  task: string,
  change?: { value: number; low: number; high: number; pHolm: number },
) => ({
  ...{ model: 'tiny_1', task, intervention: name, n: 100, unparsable: 2 },
  metrics: {
    acc: { value: 0.625, low: 0.5, high: 0.7 },
    perplexity: { value: 12.345678, low: null, high: null },
  },
  delta: change ? { acc: { ...change, p: 0.0001 } } : {},
});
mkdirSync(path('run'));
const hostile = '=cmd "x", 50% {_}';
const report = {
  runs: [
    run('baseline', 'copa'),
    run(hostile, 'copa', { value: -0.05, low: -0.1, high: 0.01, pHolm: 0.0004 }),
    run('baseline', 'boolq'),
  ],
};
writeFileSync(path('run', 'report.json'), JSON.stringify(report));

async function exported(...argv: string[]): Promise<string> {
  let text = '';
  await exportCommand([path('run'), ...argv], { stdout: { write: (part) => (text += part) } });
  return text;
}

test('CSV: quoted, no formulas, empty where there is no number', async () => {
  const lines = (await exported('--format', 'csv')).split('\r\n');
  expect(lines[0]).toMatch(/^model,task,intervention,metric,n,value,low,high,delta,/);
  expect(lines[1]).toBe('tiny_1,copa,baseline,acc,100,0.625,0.5,0.7,,,,,,2');
  expect(lines[3]).toBe(
    `tiny_1,copa,"'=cmd ""x"", 50% {_}",acc,100,0.625,0.5,0.7,-0.05,-0.1,0.01,0.0001,0.0004,2`,
  );
  expect(lines).toHaveLength(1 + 6 + 1);
});

test('LaTeX: booktabs, names escaped, signs and powers in mathematics', async () => {
  const text = await exported('--format', 'latex');
  expect(text).toContain('\\begin{tabular}{lllrrrr}\n\\toprule');
  expect(text).toContain(
    ' & =cmd "x", 50\\% \\{\\_\\} & acc (\\%) & 100 & 62.5 {\\small[50.0, 70.0]} & $-$5.0 {\\small[$-$10.0, +1.0]} & 4$\\cdot10^{-4}$ \\\\',
  );
  expect(text.match(/\\midrule/g)).toHaveLength(2);
  const columns = text.split('\n').filter((line) => line.endsWith('\\\\'));
  for (const line of columns) expect(line.replaceAll('\\&', '').split('&')).toHaveLength(7);
});

test('JSON lines, Vega-Lite with the effects alone, and a list; into a file', async () => {
  const lines = (await exported('--format', 'jsonl'))
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(lines[2]).toMatchObject({ task: 'copa', metric: 'acc', delta: -0.05, p_holm: 0.0004 });
  await exported('--format', 'vega-lite', '--out', path('effects.vl.json'));
  const { data, $schema } = JSON.parse(readFileSync(path('effects.vl.json'), 'utf8'));
  expect($schema).toMatch(/vega-lite/);
  expect(data.values).toMatchObject([{ panel: 'copa, acc', delta: -0.05, sure: true }]);
  expect(JSON.parse(await exported('--json')).results).toEqual(lines);
});

test('no run, no report, another format', async () => {
  await expect(exported('--format', 'cvs')).rejects.toMatchObject({
    code: 'ARGUMENT_INVALID',
    hint: 'Did you mean csv?',
  });
  await expect(exported()).rejects.toMatchObject({
    code: 'ARGUMENT_MISSING',
    expected: expect.stringMatching(/latex/),
  });
  await expect(exportCommand([path('none'), '--json'])).rejects.toMatchObject({ code: 'RUN_MISSING' });
  writeFileSync(path('report.json'), '{"runs":[{}]}');
  await expect(exportCommand([root, '--json'])).rejects.toMatchObject({ code: 'REPORT_INVALID' });
});
