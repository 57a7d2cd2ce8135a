/** Shards: a part each, and together the run that was not cut into parts. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { evalCommand } from '../cli/eval.ts';
import { mergeCommand } from '../cli/merge.ts';
import { evaluate } from '../index.ts';
import { toyIntervention, toyModel } from '../testing/toy-model.ts';
import { parseShard } from './shard.ts';

const root = mkdtempSync(join(tmpdir(), 'attune-shards-'));
afterAll(() => rmSync(root, { recursive: true }));
const path = (name: string) => join(root, name);
const read = (...name: string[]) => readFileSync(join(root, ...name), 'utf8');

/** 40 questions about 10 texts, each text a cluster; and 5 items without. */
const questions = Array.from({ length: 40 }, (_, i) => ({
  text: `Item ${i}`,
  odd: i % 2,
  group: `g${i % 10}`,
}));
const task = (name: string, cluster: boolean) => ({
  name,
  output: 'multiple_choice',
  source: { file: `${name}.jsonl` },
  fields: { text: 'string', odd: 'integer', group: 'string' },
  prompt: '{{ text }}',
  choices: ['even', 'odd'],
  target: '{{ odd }}',
  metrics: ['acc', 'acc_norm'],
  ...(cluster && { cluster: '{{ group }}' }),
});

const world = (written: string[], models: string[] = [], software = {}) => ({
  loadModel: async (name: string) => {
    models.push(name);
    return { ...toyModel({ name }), software };
  },
  readIntervention: toyIntervention as never,
  stdout: { write: (text: string) => written.push(text) },
  stderr: { write: (text: string) => written.push(text) },
});

const flags = (...more: string[]) => [
  ...['--model', 'toy', '--task', path('clustered.task.json'), '--task', path('few.task.json')],
  ...['--intervention', 'shift', '--resamples', '200', '--data', root, '--gate', 'acc>=0.01', ...more],
];
const merged = (...argv: string[]) => mergeCommand(argv, world([]));

beforeAll(async () => {
  const lines = (all: readonly object[]) => all.map((one) => JSON.stringify(one)).join('\n');
  writeFileSync(path('clustered.jsonl'), lines(questions));
  writeFileSync(path('few.jsonl'), lines(questions.slice(0, 3)));
  for (const [name, cluster] of [
    ['clustered', true],
    ['few', false],
  ] as const)
    writeFileSync(path(`${name}.task.json`), JSON.stringify(task(name, cluster)));
  await evalCommand(flags('--out', path('whole')), world([]));
  for (const index of ['1', '2', '3', '4'])
    await evalCommand(flags('--shard', `${index}/4`, '--out', path(index)), world([]));
});

const all = () => ['1', '2', '3', '4'].map(path);

test('merged, the report is that of one run byte for byte, whatever the order of the folders', async () => {
  expect(await merged(...all().reverse(), '--out', path('merged'))).toBe(0);
  expect(read('merged', 'report.json')).toBe(read('whole', 'report.json'));
  const keys = (name: string) =>
    read(name, 'rows.jsonl')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line).key)
      .sort();
  expect(keys('merged')).toEqual(keys('whole'));
  // What is merged is a run like any other: it goes on without computing anything.
  const loaded: string[] = [];
  await evalCommand(flags('--out', path('merged')), world([], loaded));
  expect(keys('merged')).toEqual(keys('whole'));
});

test('a part is some of the items, clusters whole, and says so', () => {
  const parts = all().map((_, i) =>
    read(`${i + 1}`, 'rows.jsonl')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line)),
  );
  expect(parts.flat()).toHaveLength(2 * 43);
  for (const rows of parts) expect(rows.length).toBeGreaterThan(0);
  for (let group = 0; group < 10; group++) {
    const having = parts.filter((rows) => rows.some(({ cluster }) => cluster === `g${group}`));
    expect(having).toHaveLength(1);
  }
  expect(JSON.parse(read('2', 'report.json')).options.shard).toBe('2/4');
});

test('a shard of which no item is', async () => {
  for (let index = 1; index <= 20; index++)
    await evalCommand(flags('--shard', `${index}/20`, '--out', path(`of-20/${index}`)), world([]));
  const folders = Array.from({ length: 20 }, (_, i) => path(`of-20/${i + 1}`));
  expect(await merged(...folders, '--out', path('of-20/merged'))).toBe(0);
  expect(read('of-20', 'merged', 'report.json')).toBe(read('whole', 'report.json'));
});

test('missing, doubled, foreign, unfinished and cut shards are named, and nothing is written', async () => {
  const out = ['--out', path('refused')];
  const [one, two, three, four] = all() as [string, string, string, string];
  await expect(merged(one, three, ...out)).rejects.toThrow(/SHARD_MISSING: found 2 of 4.*missing: 2, 4/);
  cpSync(two, path('again'), { recursive: true });
  await expect(merged(one, two, three, path('again'), ...out)).rejects.toThrow(
    /SHARD_TWICE: at .*again.*2\/4/,
  );
  await evalCommand(flags('--shard', '4/4', '--seed', '7', '--out', path('seed')), world([]));
  await expect(merged(one, two, three, path('seed'), ...out)).rejects.toThrow(
    /SHARD_FOREIGN: at .*seed.*--seed 7/,
  );
  await evalCommand(
    flags('--shard', '4/4', '--out', path('other')),
    world([], [], { 'onnxruntime-node': '2' }),
  );
  await expect(merged(one, two, three, path('other'), ...out)).rejects.toThrow(
    /SHARD_DIFFERS.*onnxruntime-node/,
  );
  cpSync(four, path('cut'), { recursive: true });
  writeFileSync(path('cut/rows.jsonl'), read('4', 'rows.jsonl').split('\n').slice(1).join('\n'));
  await expect(merged(one, two, three, path('cut'), ...out)).rejects.toThrow(
    /SHARD_UNFINISHED: .*found 1 of/,
  );
  rmSync(path('cut/shard.json'));
  await expect(merged(one, two, three, path('cut'), ...out)).rejects.toThrow(/SHARD_UNFINISHED: at .*cut/);
  await expect(merged(one, root, ...out)).rejects.toThrow(/SHARD_INVALID/);
  await expect(merged(...out)).rejects.toThrow(/ARGUMENT_MISSING/);
  expect(() => read('refused', 'report.json')).toThrow();
});

test('data that changed since', async () => {
  cpSync(path('clustered.jsonl'), path('elsewhere/clustered.jsonl'));
  cpSync(path('few.jsonl'), path('elsewhere/few.jsonl'));
  expect(await merged(...all(), '--out', path('moved'), '--data', path('elsewhere'))).toBe(0);
  expect(read('moved', 'report.json')).toBe(read('whole', 'report.json'));
  writeFileSync(path('elsewhere/few.jsonl'), JSON.stringify(questions[9]));
  const changed = merged(...all(), '--out', path('changed'), '--data', path('elsewhere'));
  await expect(changed).rejects.toThrow(/SHARD_FOREIGN: .*--data/);
});

test('which parts there are', async () => {
  expect(parseShard('3/8')).toEqual({ index: 3, count: 8 });
  for (const text of ['0/2', '3/2', '1', '1/0', 'a/b', '-1/2', '1/2/3', ''])
    expect(() => parseShard(text), text).toThrow(/ARGUMENT_INVALID: at --shard/);
  const lent = { model: toyModel({}), tasks: path('few.task.json'), data: root, shard: '1/2' };
  await expect(evaluate(lent)).rejects.toThrow(/OPTION_INVALID.*"shard"/);
});
