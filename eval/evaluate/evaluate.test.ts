/** evaluate: the command's report as an object, and what it refuses. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test, vi } from 'vitest';
import { headScale, zeroTuning } from '../../interventions/index.ts';
import { evalCommand, WORLD } from '../cli/eval.ts';
import { defineTask, type Evaluation, evaluate } from '../index.ts';
import { toyModel } from '../testing/toy-model.ts';

const root = mkdtempSync(join(tmpdir(), 'attune-evaluate-'));
afterAll(() => rmSync(root, { recursive: true }));
const path = (name: string) => join(root, name);
const lm = fileURLToPath(new URL('../../testbed/models/worlds-lm', import.meta.url));

const rows = Array.from({ length: 12 }, (_, i) => JSON.stringify({ text: `Item ${i} is`, odd: i % 2 }));
writeFileSync(path('parity.jsonl'), rows.join('\n'));
const definition = {
  name: 'parity',
  output: 'multiple_choice' as const,
  source: { file: path('parity.jsonl') },
  fields: { text: 'string' as const, odd: 'integer' as const },
  prompt: '{{ text }}',
  choices: ['even', 'odd'],
  target: '{{ odd }}',
  metrics: ['acc' as const],
};
const parity = defineTask(definition);
writeFileSync(path('parity.task.json'), JSON.stringify(definition));
const given = { model: lm, tasks: parity, allowOutside: true, resamples: 200 };

describe('one report', () => {
  let evaluation: Evaluation;

  test('interventions and their JSON, alone and together, are compared with the baseline', async () => {
    evaluation = await evaluate({
      ...given,
      interventions: [
        zeroTuning({ gamma: 3 }),
        { intervention: 'zerotuning', gamma: 0.5 },
        [zeroTuning({ gamma: 3 }), headScale({ scale: 0.5, heads: [[0, 0]] })],
      ],
      out: path('program'),
    });
    const { report, costs, sets, pass } = evaluation;
    expect(report.runs.map(({ intervention, n }) => [intervention, n])).toEqual([
      ['baseline', 12],
      ['zerotuning {"gamma":3}', 12],
      ['zerotuning {"gamma":0.5}', 12],
      ['zerotuning + head-scale', 12],
    ]);
    expect(report.runs[1]!.delta.acc).toMatchObject({ n: 12, p: expect.any(Number) });
    expect(sets[0]!.rows.map((row) => row.length)).toEqual(Array(12).fill(4));
    expect([costs.length, pass]).toEqual([4, true]);
  });

  test('it is the one that the command writes, byte for byte', async () => {
    const interventions = [
      ['zerotuning', '{"gamma":3}'],
      ['zerotuning', '{"gamma":0.5}'],
    ].flatMap(([name, params]) => ['--intervention', name!, '--params', params!]);
    const argv = ['--model', lm, '--task', path('parity.task.json'), '--resamples', '200', '--allow-outside'];
    const silent = { write: () => true };
    const code = await evalCommand([...argv, ...interventions, '--out', path('command'), '--json'], {
      ...WORLD,
      stdout: silent,
      stderr: silent,
    });
    const { report, files } = await evaluate({
      ...given,
      interventions: [zeroTuning({ gamma: 3 }), { intervention: 'zerotuning', gamma: 0.5 }],
      out: path('other'),
    });
    const written = readFileSync(join(path('command'), 'report.json'), 'utf8');
    expect(code).toBe(0);
    expect(`${JSON.stringify(report, null, 2)}\n`).toBe(written);
    expect(readFileSync(files!.report, 'utf8')).toBe(written);
    // Rows do not depend on what they are compared with.
    expect(evaluation.report.runs[1]!.metrics).toEqual(report.runs[1]!.metrics);
  });
});

test('without out nothing is written; gates say whether they hold; a loaded model stays the caller’s', async () => {
  const disposed = vi.fn(async () => {});
  const toy = { ...toyModel(), dispose: disposed };
  const evaluation = await evaluate({ ...given, model: toy, gates: ['acc>=0', 'acc>=1.1'] });
  expect(evaluation.files).toBeUndefined();
  expect(evaluation.gates.map(({ pass }) => pass)).toEqual([true, false]);
  expect(evaluation.pass).toBe(false);
  expect(disposed).not.toHaveBeenCalled();
  await expect(evaluate({ ...given, model: toy, workers: 2 })).rejects.toMatchObject({
    code: 'OPTION_INVALID',
    hint: expect.stringContaining('folder or Hub id'),
  });
});

test('a signal ends the run; the same call goes on from its rows', async () => {
  const stop = new AbortController();
  const out = path('stopped');
  const model = toyModel({ onCall: (calls) => calls > 5 && stop.abort() });
  await expect(evaluate({ ...given, model, out, signal: stop.signal })).rejects.toMatchObject({
    code: 'RUN_INTERRUPTED',
  });
  const before = readFileSync(join(out, 'rows.jsonl'), 'utf8').trimEnd().split('\n').length;
  expect(before).toBeLessThan(12);
  const { report } = await evaluate({ ...given, model: toyModel(), out });
  expect(report.runs[0]!.n).toBe(12);
});

test.each([
  ['a misspelt option', { intervention: [] }, 'OPTION_UNKNOWN', /"interventions"/],
  ['a limit of none', { limit: 0 }, 'OPTION_INVALID', /limit/],
  [
    'one intervention without brackets',
    { interventions: zeroTuning({ gamma: 2 }) },
    'OPTION_INVALID',
    /a list/,
  ],
  ['a factory', { interventions: [zeroTuning] }, 'INTERVENTIONS_EXPECTED', /Call it with its parameters/],
  ['a name alone', { interventions: ['zerotuning'] }, 'INTERVENTIONS_EXPECTED', /intervention: 'zerotuning'/],
  ['a number type that is none', { dtype: 'int4' }, 'DTYPE_UNKNOWN', /int8/],
  ['no task', { tasks: undefined }, 'OPTION_INVALID', /the name of a task/],
  ['a loaded transformers.js model', { model: { sessions: {} } }, 'OPTION_INVALID', /models are loaded here/],
  ['an unknown task', { tasks: 'copaa' }, 'TASK_UNKNOWN', /copa/],
  [
    'one setting twice',
    { interventions: [zeroTuning({ gamma: 2 }), zeroTuning({ gamma: 2 })] },
    'ARGUMENT_INVALID',
    /twice/,
  ],
])('%s is a typed error that says what to write', async (_, wrong, code, message) => {
  const failure = await evaluate({ ...given, ...wrong } as never).catch((error: unknown) => error);
  expect(failure).toMatchObject({ code, message: expect.stringMatching(message) });
});

test('no options at all', async () => {
  await expect(evaluate(undefined as never)).rejects.toMatchObject({
    code: 'OPTION_INVALID',
    hint: expect.stringContaining('evaluate({'),
  });
});
