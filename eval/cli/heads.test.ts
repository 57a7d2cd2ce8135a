/** attune heads as a user runs it. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { loadFixture } from '../../testbed/fixtures/load.ts';
import { short } from '../reports/head-map.ts';
import { headsCommand } from './heads.ts';
import { headsPage } from './heads-page.ts';
import { EXPLAINED, tableText } from './heads-text.ts';

const root = mkdtempSync(join(tmpdir(), 'attune-heads-'));
afterAll(() => rmSync(root, { recursive: true }));
const tiny = loadFixture('llama-gqa').folder;
const worlds = new URL('../../testbed/models/worlds-lm', import.meta.url).pathname;

async function heads(...argv: string[]) {
  let stdout = '';
  let stderr = '';
  const code = await headsCommand(argv, {
    stdout: { write: (text: string) => (stdout += text) },
    stderr: { write: (text: string) => (stderr += text) },
  });
  return { code, stdout, stderr };
}

test('random tokens by default: the JSON contract', async () => {
  const { code, stdout, stderr } = await heads('--model', tiny, '--samples', '6', '--tokens', '24', '--json');
  expect(code).toBe(0);
  expect(stderr).toMatch(/patterns: 6\/6/);
  const document = JSON.parse(stdout);
  expect(Object.keys(document)).toEqual(['layers', 'heads', 'statistics']);
  expect([document.layers, document.heads]).toEqual([2, 4]);
  for (const [name, rows] of Object.entries(document.statistics as Record<string, number[][]>)) {
    expect(EXPLAINED[name], name).toBeDefined();
    expect(rows.map((row) => row.length)).toEqual([4, 4]);
    expect(rows.flat().every(Number.isFinite)).toBe(true);
  }
  expect(Object.keys(document.statistics)).toContain('attention.punctuation');
});

test('a text file: tables, and a page that stands alone', async () => {
  const text = join(root, 'text.txt');
  writeFileSync(text, 'the cat sat on the mat, and the dog sat on the hat. '.repeat(40));
  const page = join(root, 'deep', 'heads.html');
  const argv = ['--model', tiny, '--data', text, '--tokens', '16', '--samples', '5'];
  const { stdout } = await heads(
    ...argv,
    '--statistic',
    'entropy,influence',
    '--ablation',
    'zero',
    '--out',
    page,
  );
  expect(stdout).toMatch(/^2 layers of 4 heads; .*text\.txt, 5 sequences of 16 tokens/);
  expect(stdout).toMatch(/influence: Rise of the loss[\s\S]*layer +0 +1 +2 +3\n/);
  const html = readFileSync(page, 'utf8');
  expect(html.match(/<rect /g)).toHaveLength(2 * 2 * 4);
  expect(html).toMatch(/<title>layer 1, head 3: -?\d/);
  expect(html).not.toMatch(/<script|https?:|@import|url\(/);
});

test('--model-file takes another graph of the folder, with the same heads', async () => {
  const argv = ['--model', worlds, '--statistic', 'sink', '--samples', '3', '--tokens', '16', '--json'];
  const [usual, gqa] = [await heads(...argv), await heads(...argv, '--model-file', 'model_gqa.onnx')].map(
    ({ stdout }) => (JSON.parse(stdout).statistics.sink as number[][]).flat(),
  );
  expect(usual).toHaveLength(gqa!.length);
  usual!.forEach((value, i) => {
    expect(Math.abs(value - gqa![i]!)).toBeLessThan(1e-4);
  });
  expect(usual).not.toEqual(gqa);
});

test('the prompts of a task: heads that copy the answer', async () => {
  const argv = ['--model', worlds, '--task', 'worlds-documents', '--samples', '40', '--json'];
  const { stdout } = await heads(...argv, '--statistic', 'retrieval');
  const { statistics } = JSON.parse(stdout);
  const scores: number[] = statistics.retrieval.flat();
  // The shipped model reads most values off the mark that follows them; one head looks at the very word now and then.
  expect(Math.max(...scores)).toBeGreaterThan(0);
  expect(Math.min(...scores)).toBeGreaterThanOrEqual(0);
});

test.each([
  [['--statistic', 'entropie'], /STATISTIC_UNKNOWN.*Nearest: entropy/],
  [['--statistic', 'retrieval'], /STATISTIC_NO_DATA: at retrieval/],
  [['--tokens', '4'], /ARGUMENT_INVALID.*--tokens/],
  [['--ablation', 'mean'], /ARGUMENT_INVALID.*uniform or zero/],
  [['--data', './nowhere.txt'], /DATA_FILE.*no such file/],
  [['--data', root], /DATA_FILE.*a folder/],
  [['--task', 'worlds-sentiment', '--tokens', '400'], /STATISTIC_NO_DATA.*400 tokens.*smaller --tokens/],
  [['--model', './nowhere'], /MODEL_LOAD/],
  [['--out', join(root, 'text.txt', 'page.html')], /RUN_WRITE/],
])('%j is refused', async (argv, message) => {
  await expect(heads('--model', tiny, '--samples', '2', '--tokens', '16', ...argv)).rejects.toThrow(message);
});

test('of all statistics those that the data allows, saying which are left out', async () => {
  const { stdout, stderr } = await heads(
    ...['--model', tiny, '--samples', '2', '--tokens', '16', '--statistic', 'all', '--json'],
  );
  expect(stderr).toMatch(/left out: STATISTIC_NO_DATA: at retrieval/);
  expect(Object.keys(JSON.parse(stdout).statistics)).toContain('influence');
});

test('wide models: the heads that stand out; signed values around a middle', () => {
  const rows = Array.from({ length: 3 }, (_, l) => Array.from({ length: 32 }, (__, h) => l * 32 + h));
  expect(tableText({ name: 'sink', rows })).toMatch(/largest: 2\.31 95 {2}2\.30 94/);
  const page = headsPage({ title: '<b>', about: 'x', tables: [{ name: 'influence', rows: [[-1, 0, 1]] }] });
  expect(page).toContain('<h1>&lt;b&gt;</h1>');
  expect(page).toMatch(/fill="#f7f7f5"/);
  expect([0, 0.1234, 0.01234, 0.00012, 12.3].map(short)).toEqual(['0', '0.12', '0.012', '1e-4', '12']);
});
