/** The command from arguments to report, on the toy model and on a real fixture. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import type { EvalModel } from '../models/load.ts';
import { loadEvalModel, readIntervention } from '../models/load.ts';
import { type ToyOptions, toyIntervention, toyModel } from '../testing/toy-model.ts';
import { evalCommand } from './eval.ts';

const root = mkdtempSync(join(tmpdir(), 'attune-eval-'));
afterAll(() => rmSync(root, { recursive: true }));
const path = (name: string) => join(root, name);
const repository = fileURLToPath(new URL('../..', import.meta.url));

const records = Array.from({ length: 40 }, (_, i) => ({ q: `item ${i} is`, gold: i % 2, passage: i % 8 }));
writeFileSync(path('data.jsonl'), records.map((record) => `${JSON.stringify(record)}\n`).join(''));
const definition = {
  name: 'toy-task',
  output: 'multiple_choice',
  source: { file: 'data.jsonl' },
  fields: { q: 'string', gold: 'integer' },
  prompt: '{{ q }}',
  choices: ['even', 'odd'],
  target: '{{ gold }}',
  metrics: ['acc', 'acc_norm'],
};
writeFileSync(path('task.json'), JSON.stringify(definition));

async function evaluate(argv: string[], toy: ToyOptions = {}) {
  let stdout = '';
  let stderr = '';
  const code = await evalCommand(['--model', 'toy', '--task', path('task.json'), ...argv], {
    loadModel: async (name) => toyModel({ name, ...toy }),
    readIntervention: toyIntervention,
    stdout: {
      write: (text) => {
        stdout += text;
      },
    },
    stderr: {
      write: (text) => {
        stderr += text;
      },
    },
  });
  return { code, stdout, stderr };
}

const out = (name: string) => ['--out', path(name)];
const report = (name: string) => readFileSync(join(path(name), 'report.json'), 'utf8');
const rows = (name: string) =>
  readFileSync(join(path(name), 'rows.jsonl'), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
const compared = ['--intervention', 'shift', '--params', '{"by":2}', '--resamples', '500'];

describe('a whole run', () => {
  test('--json is the contract: runs and the path of the report, nothing else on stdout', async () => {
    const { code, stdout } = await evaluate([...compared, ...out('json'), '--json']);
    const { runs, report: file } = JSON.parse(stdout);
    expect(code).toBe(0);
    expect(file).toBe(join(path('json'), 'report.json'));
    expect(runs.map(({ intervention }: { intervention: string }) => intervention)).toEqual([
      'baseline',
      'shift',
    ]);
    const [base, shifted] = runs;
    expect(Object.keys(base).sort()).toEqual([
      'cost',
      'delta',
      'intervention',
      'metrics',
      'model',
      'n',
      'skipped',
      'specHash',
      'specification',
      'task',
      'truncated',
      'unparsable',
    ]);
    expect(base).toMatchObject({
      model: 'toy',
      task: 'toy-task',
      n: 40,
      delta: {},
      specification: [],
      unparsable: 0,
    });
    expect(shifted.specification).toEqual([{ intervention: 'shift', by: 2 }]);
    expect(shifted.delta.acc).toEqual({
      value: expect.any(Number),
      low: expect.any(Number),
      high: expect.any(Number),
      p: expect.any(Number),
      pHolm: expect.any(Number),
      n: 40,
      gained: expect.any(Number),
      lost: expect.any(Number),
      minimumDetectable: expect.any(Number),
    });
    expect(shifted.delta.acc.gained - shifted.delta.acc.lost).toBe(Math.round(shifted.delta.acc.value * 40));
    expect(shifted.cost).toMatchObject({ tokens: expect.any(Number), ms: expect.any(Number) });
  });

  test('one row for each item and setting, with what it was computed from', async () => {
    const all = rows('json');
    expect(all).toHaveLength(80);
    expect(new Set(all.map(({ key }) => key)).size).toBe(80);
    const accuracy = all.filter(({ setting }) => setting === 'baseline').map(({ terms }) => terms.acc[0]);
    const value = JSON.parse(report('json')).runs[0].metrics.acc.value;
    expect(value).toBeCloseTo(accuracy.reduce((sum, right) => sum + right, 0) / 40, 12);
    for (const { gold, prediction, terms, logLikelihoods } of all) {
      expect(logLikelihoods[prediction]).toBe(Math.max(...logLikelihoods));
      expect(terms.acc).toEqual([prediction === gold ? 1 : 0, 1]);
    }
  });

  test('the same command again computes nothing and gives the same report', async () => {
    const before = report('json');
    const { code } = await evaluate([...compared, ...out('json')], {
      onCall: () => {
        throw new Error('a row was computed twice');
      },
    });
    expect([code, report('json')]).toEqual([0, before]);
  });

  test('a second run elsewhere gives the same report byte for byte, whatever the pace', async () => {
    await evaluate([...compared, ...out('again')], { delay: 1 });
    expect(report('again')).toBe(report('json'));
  });

  test('another parameter, seed of the sample or task text is another result; shared rows are kept', async () => {
    await evaluate(['--intervention', 'shift', '--params', '{"by":3}', ...out('json'), '--resamples', '500']);
    expect(rows('json')).toHaveLength(120);
  });

  test('the table goes to stdout, progress to stderr', async () => {
    const { stdout, stderr } = await evaluate([...compared, ...out('table')]);
    expect(stdout).toMatch(/^task +intervention +metric +n +value/);
    expect(stdout).toContain(`report: ${join(path('table'), 'report.json')}`);
    expect(stderr).toMatch(/toy toy-task: 80\/80, 0 s left, baseline 0\.\d{3}, shift 0\.\d{3}/);
  });

  test('--limit samples; a larger limit goes on from the smaller', async () => {
    await evaluate(['--limit', '10', ...out('limit')]);
    const first = rows('limit').map(({ item }) => item);
    await evaluate(['--limit', '15', ...out('limit')]);
    expect(first).toHaveLength(10);
    expect(rows('limit')).toHaveLength(15);
    expect(JSON.parse(report('limit')).runs[0].n).toBe(15);
  });

  test('an intervention that gives no numbers shows as unparsable, not as silence', async () => {
    const score = (_: string, interventions: readonly unknown[]) => (interventions.length ? Number.NaN : -1);
    const { stdout } = await evaluate([...compared, ...out('nan'), '--json'], { score });
    expect(JSON.parse(stdout).runs[1]).toMatchObject({
      n: 40,
      unparsable: 40,
      metrics: { acc: { value: 0 } },
    });
  });
});

describe('reports', () => {
  test('a page and Markdown lie beside report.json; in CI the Markdown goes to the job summary too', async () => {
    const summary = path('summary.md');
    writeFileSync(summary, 'before\n');
    process.env.GITHUB_STEP_SUMMARY = summary;
    try {
      await evaluate([...compared, ...out('pages')]);
    } finally {
      delete process.env.GITHUB_STEP_SUMMARY;
    }
    const markdown = readFileSync(join(path('pages'), 'report.md'), 'utf8');
    expect(readFileSync(summary, 'utf8')).toBe(`before\n${markdown}\n`);
    expect(markdown).toContain('| toy | toy-task | shift | acc (%) | 40 |');
    const page = readFileSync(join(path('pages'), 'report.html'), 'utf8');
    expect(page).toMatch(/^<!doctype html>/);
    expect(page).toContain('&#39;{&quot;by&quot;:2}&#39;');
    const { software, models } = JSON.parse(report('pages'));
    expect(software.attune).toMatch(/^\d+\.\d+\.\d+/);
    expect(models).toEqual([{ name: 'toy', fingerprint: 'toy:toy' }]);
  });

  test('a gate that is missed is exit code 2, with the report written; one that holds is 0', async () => {
    const right = (text: string) => (/[02468] is even|[13579] is odd/.test(text) ? -1 : -2);
    const gated = (bound: string, name: string) =>
      evaluate(['--gate', bound, '--json', ...out(name)], { score: right });
    const met = await gated('acc>=0.99', 'met');
    expect([met.code, JSON.parse(met.stdout).gates]).toEqual([
      0,
      [
        {
          gate: 'acc>=0.99',
          pass: true,
          checks: [{ model: 'toy', task: 'toy-task', intervention: 'baseline', found: 1, pass: true }],
        },
      ],
    ]);
    const missed = await gated('acc>=0.99@p95', 'missed');
    expect([missed.code, JSON.parse(missed.stdout).gates[0].pass]).toEqual([2, false]);
    expect(missed.stderr).toContain('FAIL acc>=0.99@p95: toy, toy-task, baseline: 0.93');
    expect(JSON.parse(report('missed')).runs[0].n).toBe(40);
  });

  test('a gate that is none, or speaks of nothing, is an error', async () => {
    await expect(evaluate(['--gate', 'acc=1', ...out('gate')])).rejects.toMatchObject({
      code: 'GATE_INVALID',
    });
    const onCall = () => {
      throw new Error('the model was run first');
    };
    await expect(evaluate(['--gate', 'delta.acc>=0', ...out('gate')], { onCall })).rejects.toMatchObject({
      code: 'GATE_UNMATCHED',
    });
  });
});

describe('data', () => {
  test('--sample-id scores these items alone, whatever the limit', async () => {
    const ids = ['--sample-id', 'data.jsonl:31', '--sample-id', 'data.jsonl:7'];
    await evaluate([...ids, '--limit', '1', ...out('ids')]);
    expect(
      rows('ids')
        .map(({ item }) => item)
        .sort(),
    ).toEqual(['data.jsonl:31', 'data.jsonl:7']);
    await expect(evaluate(['--sample-id', 'data.jsonl:41'])).rejects.toMatchObject({
      code: 'SAMPLE_UNKNOWN',
      hint: expect.stringContaining('data.jsonl:4'),
    });
  });

  test('--data names another file; bad records stop the run or are counted', async () => {
    writeFileSync(path('other.jsonl'), '{"q":"a","gold":0}\n{"q":"b"\n{"q":"c","gold":1}\n');
    await expect(evaluate(['--data', path('other.jsonl'), ...out('bad')])).rejects.toMatchObject({
      code: 'DATA_SYNTAX',
      at: 'other.jsonl:2',
    });
    await evaluate(['--data', path('other.jsonl'), '--skip-bad', ...out('bad')]);
    const { runs, tasks } = JSON.parse(report('bad'));
    expect(runs[0]).toMatchObject({ n: 2, skipped: 1 });
    expect(tasks[0]).toMatchObject({ records: 2, bad: [{ code: 'DATA_SYNTAX', at: 'other.jsonl:2' }] });
  });

  test('items that the model cannot take stop the run with their place, or are counted', async () => {
    const blank = { ...definition, delimiter: '', choices: ['even', '{{ "odd" if gold else "?" }}'] };
    writeFileSync(path('blank.json'), JSON.stringify(blank));
    const encode = (text: string) =>
      [...text].filter((letter) => letter !== '?').map((letter) => letter.codePointAt(0)!);
    const run = (flags: string[]) => {
      const model = toyModel();
      const mute: EvalModel = { ...model, language: { ...model.language, encode } };
      return evalCommand(['--model', 'toy', '--task', path('blank.json'), ...flags], {
        loadModel: async () => mute,
        readIntervention: toyIntervention,
        stdout: { write: () => {} },
        stderr: { write: () => {} },
      });
    };
    // Every second item is one; the first of them in the order of the sample stops the run.
    await expect(run(out('blank'))).rejects.toMatchObject({
      code: 'SCORE_EMPTY',
      at: expect.stringMatching(/^data\.jsonl:\d*[13579]$/),
    });
    expect(await run([...out('blank'), '--skip-bad'])).toBe(0);
    expect(JSON.parse(report('blank')).runs[0]).toMatchObject({ n: 20, skipped: 20 });
  });

  test('--dry-run shows counts and the first prompt and loads no model', async () => {
    let stdout = '';
    await evalCommand(['--model', 'x', '--task', path('task.json'), '--limit', '3', '--dry-run', '--json'], {
      loadModel: () => Promise.reject(new Error('loaded')),
      readIntervention: toyIntervention,
      stdout: {
        write: (text) => {
          stdout += text;
        },
      },
      stderr: { write: () => {} },
    });
    expect(JSON.parse(stdout)).toMatchObject({
      rows: 3,
      tasks: [
        { items: 3, records: 40, first: { options: [{ continuation: ' even' }, { continuation: ' odd' }] } },
      ],
    });
  });
});

describe('bad usage', () => {
  test.each([
    [
      'an unknown flag',
      ['--interventoin', 'x'],
      { code: 'ARGUMENT_UNKNOWN', hint: expect.stringContaining('--intervention') },
    ],
    [
      'params that are no JSON',
      ['--intervention', 'a', '--params', '{gamma:1}'],
      { code: 'ARGUMENT_INVALID', at: '--params' },
    ],
    ['more params than interventions', ['--params', '{}'], { code: 'ARGUMENT_INVALID', at: '--params' }],
    ['one intervention twice', ['--intervention', 'a', '--intervention', 'a'], { code: 'ARGUMENT_INVALID' }],
    ['an unknown intervention', ['--intervention', 'unknown'], { code: 'INTERVENTION_UNKNOWN' }],
    ['a limit of none', ['--limit', '0'], { code: 'ARGUMENT_INVALID', at: '--limit' }],
    ['an unknown task', ['--task', 'copaa'], { code: 'TASK_UNKNOWN', hint: expect.stringContaining('copa') }],
    ['a data folder that is none', ['--data', '/nowhere'], { code: 'DATA_FOLDER' }],
  ])('%s is a typed error', async (_, argv, error) => {
    await expect(evaluate(argv)).rejects.toMatchObject(error);
  });

  test('no model is a typed error; --help is help', async () => {
    await expect(evalCommand(['--task', 'copa'])).rejects.toMatchObject({
      code: 'ARGUMENT_MISSING',
      expected: '--model',
    });
    const { code, stdout } = await evaluate(['--help']);
    expect(code).toBe(0);
    expect(stdout).toContain('Examples:');
  });
});

describe('a real model', () => {
  const fixture = join(repository, 'testbed/fixtures/llama-gqa');

  test('scores, and its fingerprint is that of its files', async () => {
    const first = await loadEvalModel(fixture);
    const second = await loadEvalModel(fixture);
    expect(second.fingerprint).toBe(first.fingerprint);
    expect(first.fingerprint).toMatch(/^[0-9a-f]{64}$/);
    await Promise.all([first.dispose(), second.dispose()]);

    let stdout = '';
    await evalCommand(
      ['--model', fixture, '--task', path('task.json'), '--limit', '4', '--json', ...out('real')],
      {
        loadModel: loadEvalModel,
        readIntervention,
        stdout: {
          write: (text) => {
            stdout += text;
          },
        },
        stderr: { write: () => {} },
      },
    );
    const [run] = JSON.parse(stdout).runs;
    expect(run).toMatchObject({ n: 4, unparsable: 0, truncated: 0 });
    expect(run.cost.unsharedTokens).toBeGreaterThan(run.cost.tokens);
  });

  test('a folder that is none and a model that is none are typed errors', async () => {
    await expect(loadEvalModel('./nowhere')).rejects.toMatchObject({
      code: 'MODEL_LOAD',
      found: expect.stringContaining('no folder ./nowhere'),
    });
    await expect(loadEvalModel(root)).rejects.toMatchObject({ code: 'MODEL_LOAD', at: root });
  });
});
