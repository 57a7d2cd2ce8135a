/** Two runs of the toy model against each other, and what cannot be compared. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { mcnemarExact } from '../statistics/mcnemar.ts';
import { toyIntervention, toyModel } from '../testing/toy-model.ts';
import { compareCommand } from './compare.ts';
import { evalCommand } from './eval.ts';

const root = mkdtempSync(join(tmpdir(), 'attune-compare-'));
afterAll(() => rmSync(root, { recursive: true }));
const path = (name: string) => join(root, name);

/** Right on item i of the task when i < right, of 30. */
const score = (right: number) => (text: string) => {
  const [, i, answer] = /item (\d+) is (even|odd)/.exec(text)!;
  const parity = Number(i) % 2 ? 'odd' : 'even';
  return (answer === parity) === Number(i) < right ? -1 : -2;
};

async function evaluate(name: string, right: number, flags: string[] = []): Promise<void> {
  await evalCommand(
    [
      '--model',
      `model-${name}`,
      '--task',
      path('task.json'),
      '--out',
      path(name),
      '--resamples',
      '200',
      ...flags,
    ],
    {
      loadModel: async (model) => toyModel({ name: model, score: score(right) }),
      readIntervention: toyIntervention,
      stdout: { write: () => {} },
      stderr: { write: () => {} },
    },
  );
}

async function compared(...argv: string[]) {
  const out = { code: -1, stdout: '', stderr: '' };
  out.code = await compareCommand(argv, {
    stdout: {
      write: (text) => {
        out.stdout += text;
      },
    },
    stderr: {
      write: (text) => {
        out.stderr += text;
      },
    },
  });
  return out;
}

beforeAll(async () => {
  const records = Array.from({ length: 30 }, (_, i) => ({ q: `item ${i} is`, gold: i % 2 }));
  writeFileSync(path('data.jsonl'), records.map((record) => `${JSON.stringify(record)}\n`).join(''));
  const definition = {
    name: 'toy-task',
    output: 'multiple_choice',
    source: { file: 'data.jsonl' },
    fields: { q: 'string', gold: 'integer' },
    prompt: '{{ q }}',
    choices: ['even', 'odd'],
    target: '{{ gold }}',
    metrics: ['acc'],
  };
  writeFileSync(path('task.json'), JSON.stringify(definition));
  await evaluate('a', 20);
  await evaluate('b', 26, ['--intervention', 'shift']);
});

test('equal settings are compared on the items both have', async () => {
  const { code, stdout } = await compared(path('a'), path('b'), '--json');
  expect(code).toBe(0);
  const { comparisons } = JSON.parse(stdout);
  expect(comparisons).toHaveLength(1);
  expect(comparisons[0]).toMatchObject({
    task: 'toy-task',
    a: { model: 'model-a', setting: 'baseline' },
    b: { model: 'model-b', setting: 'baseline' },
    n: 30,
    onlyA: 0,
    onlyB: 0,
    metrics: {
      acc: {
        a: { value: 20 / 30 },
        b: { value: 26 / 30 },
        delta: { value: 6 / 30, gained: 6, lost: 0, p: mcnemarExact({ gained: 6, lost: 0 }) },
      },
    },
  });
});

test('settings can be named; the table says which', async () => {
  const { stdout } = await compared(path('a'), path('b'), '--a', 'baseline', '--b', 'shift');
  expect(stdout.split('\n')[1]).toMatch(
    /^toy-task +model-a, baseline +model-b, shift +acc +30 +0 +0 +66\.7 \[.*\+20\.0 \[/,
  );
});

test('items that only one run has are counted and left out', async () => {
  await evaluate('small', 20, ['--limit', '10']);
  const { comparisons } = JSON.parse((await compared(path('small'), path('b'), '--json')).stdout);
  expect(comparisons[0]).toMatchObject({ n: 10, onlyA: 0, onlyB: 20 });
});

describe('gates', () => {
  test('a difference that is shown, and one that is not', async () => {
    expect((await compared(path('a'), path('b'), '--gate', 'delta.acc>=0@p95')).code).toBe(0);
    const { code, stderr } = await compared(path('b'), path('a'), '--gate', 'delta.acc>=-0.01@p95');
    expect(code).toBe(2);
    expect(stderr).toContain('FAIL delta.acc>=-0.01@p95: model-a, toy-task, baseline');
  });
});

describe('refused', () => {
  test('one folder, a folder without rows, settings that are not there', async () => {
    await expect(compared(path('a'))).rejects.toMatchObject({ code: 'ARGUMENT_MISSING' });
    await expect(compared(path('a'), path('nowhere'))).rejects.toMatchObject({ code: 'RUN_MISSING' });
    await expect(compared(path('a'), path('b'), '--b', 'shifty')).rejects.toMatchObject({
      code: 'RUN_PAIRS',
      found: expect.stringContaining('model-b, toy-task, shift'),
    });
  });
});
