/** attune calibrate as a user runs it, on a tiny model with random weights. */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readProfile } from '../../calibration/index.ts';
import { loadFixture } from '../../testbed/fixtures/load.ts';
import { cases } from '../../testbed/long.test-support.ts';
import { uniformIntegers } from '../statistics/random.ts';
import { type AttuneProcess, attuneProcess } from '../testing/attune-process.ts';
import { calibrateCommand } from './calibrate.ts';
import { evalCommand } from './eval.ts';

const repository = fileURLToPath(new URL('../..', import.meta.url));
const root = mkdtempSync(join(tmpdir(), 'attune-calibrate-'));
const path = (name: string) => join(root, name);
const model = loadFixture('llama-eager').folder;

const WORDS = ['cat', 'dog', 'fox', 'mat', 'hat', 'sun'];
const records = Array.from({ length: 60 }, (_, i) => ({
  q: `the ${WORDS[i % 6]} and the ${WORDS[Math.floor(i / 6) % 6]} and the ${WORDS[Math.floor(i / 36)]} sat on the`,
  gold: (i * 7) % 3,
}));
const definition = {
  name: 'toy-task',
  output: 'multiple_choice',
  source: { file: 'data.jsonl' },
  fields: { q: 'string', gold: 'integer' },
  prompt: '{{ q }}',
  choices: ['mat', 'hat', 'sun'],
  target: '{{ gold }}',
  metrics: ['acc'],
};
const { choices: _, ...open } = { ...definition, name: 'open', output: 'generate_until', maxTokens: 3 };

beforeAll(() => {
  writeFileSync(path('data.jsonl'), records.map((record) => `${JSON.stringify(record)}\n`).join(''));
  writeFileSync(path('empty.jsonl'), '');
  writeFileSync(path('task.json'), JSON.stringify(definition));
  writeFileSync(path('open.json'), JSON.stringify({ ...open, metrics: ['exact_match'] }));
});
afterAll(() => rmSync(root, { recursive: true }));

const flags = (out: string, intervention = 'zerotuning', task = 'task.json') => [
  ...['--model', model, '--intervention', intervention, '--task', path(task), '--out', path(out)],
  ...['--samples', '20', '--held-out', '20'],
];

async function run(command: typeof calibrateCommand, argv: string[]) {
  let stdout = '';
  let stderr = '';
  const world = {
    stdout: { write: (text: string) => (stdout += text) },
    stderr: { write: (text: string) => (stderr += text) },
  };
  const code = await command(argv, world);
  return { code, stdout, stderr };
}
const calibrated = (...argv: string[]) => run(calibrateCommand, argv);

describe('what comes out', () => {
  test('ZeroTuning, by accuracy: the JSON contract, and a profile with its search and its estimate', async () => {
    const { code, stdout, stderr } = await calibrated(...flags('zt.profile.json'), '--json');
    expect(code).toBe(0);
    expect(stderr).toMatch(/probe: 80\/80/);
    const document = JSON.parse(stdout);
    expect(Object.keys(document)).toEqual(['profile', 'heldOut', 'search']);
    expect(document.search).toEqual({ settings: 10, samples: 20 });
    expect(document.heldOut).toMatchObject({
      samples: 20,
      metric: 'acc',
      baseline: { value: expect.any(Number), low: expect.any(Number), high: expect.any(Number) },
      delta: { value: expect.any(Number), p: expect.any(Number) },
      // Twenty items tell nothing.
      tooSmall: true,
    });
    const profile = await readProfile(document.profile);
    expect(profile).toMatchObject({ seed: 0, heldOut: document.heldOut });
    expect(profile.data).toMatchObject([{ task: 'toy-task', sha256: expect.stringMatching(/^\w{64}$/) }]);
    expect(profile.search!.trace.map(({ step }) => step)).toEqual([
      'baseline',
      ...Array(4).fill('probe'),
      ...Array(6).fill('grid'),
    ]);
    const { heldOut, trace } = { ...profile, ...profile.search! };
    const baseline = trace[0] as { accuracy?: number };
    expect(baseline.accuracy! * 20).toBeCloseTo(Math.round(baseline.accuracy! * 20), 9);
    expect(heldOut!.baseline!.value * 20).toBeCloseTo(Math.round(heldOut!.baseline!.value * 20), 9);
  });

  test('--dry-run says what would be measured, and leaves nothing behind', async () => {
    const { stdout } = await calibrated(...flags('dry.profile.json'), '--dry-run', '--json');
    // Four heads, six strengths; 20 items to search on, and 20 held out under two settings and the baseline once more.
    expect(JSON.parse(stdout)).toEqual({
      settings: 10,
      measurements: 10 * 20 + 20 + 2 * 20,
      samples: 20,
      heldOut: 20,
      seconds: expect.any(Number),
    });
    expect(existsSync(path('dry.profile.json'))).toBe(false);
  });

  test('attune eval takes the profile, for its model alone', async () => {
    const profile = ['--profile', path('zt.profile.json'), '--task', path('task.json'), '--limit', '10'];
    const command = evalCommand as unknown as typeof calibrateCommand;
    const evaluate = (folder: string, out: string) =>
      run(
        ((argv, world) =>
          command(argv, {
            ...world,
            loadModel: async (...of: [string, object]) =>
              (await import('../models/load.ts')).loadEvalModel(...of),
            readIntervention: async (json: Record<string, unknown>) =>
              (await import('../models/load.ts')).readIntervention(json),
          } as never)) as typeof calibrateCommand,
        ['--model', folder, ...profile, '--out', path(out), '--json'],
      );
    const { stdout } = await evaluate(model, 'own');
    expect(JSON.parse(stdout).runs.map(({ intervention }: { intervention: string }) => intervention)).toEqual(
      ['baseline', 'zt'],
    );
    await expect(evaluate(loadFixture('llama-gqa').folder, 'other')).rejects.toThrow(
      /PROFILE_OF_ANOTHER_MODEL.*attention written as/,
    );
  });

  test('ZeroTuning without labels, on prompts with nothing to choose from', async () => {
    const { stdout } = await calibrated(...flags('u.json', 'zerotuning', 'open.json'), '--unsupervised');
    expect(stdout).toMatch(/chosen: |nothing was better/);
    const profile = await readProfile(path('u.json'));
    expect(profile.search).toMatchObject({ objective: 'entropy', samples: 20 });
    expect(profile.heldOut!.baseline).toBeUndefined();
    expect(profile.heldOut!.entropy.calibrated).toBeGreaterThan(0);
  });

  test('ACT: every head of the layers asked for, alone', async () => {
    const argv = [...flags('act.json', 'act'), '--alpha', '0.5', '--layers', '0-1', '--beta', '0'];
    const { stdout } = await calibrated(...argv);
    expect(stdout).toMatch(/head +\{"heads":\[\[1,3\]\]\}/);
    const { search } = await readProfile(path('act.json'));
    expect(search!.trace.filter(({ step }) => step === 'head')).toHaveLength(8);
  });
});

let attune: AttuneProcess;
const child = (out: string) =>
  spawn(process.execPath, [...attune.argv, 'calibrate', ...flags(out), '--batch-tokens', '12'], {
    cwd: repository,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
const lines = (name: string) =>
  existsSync(path(name)) ? readFileSync(path(name), 'utf8').split('\n').length - 1 : 0;
const reaching = async (name: string, count: number) => {
  while (lines(name) < count) await new Promise((resolve) => setTimeout(resolve, 5));
};

/** Kills of one calibration. */
const KILLS = cases(3);

describe('cut short', () => {
  beforeAll(async () => {
    attune = await attuneProcess();
  });
  afterAll(() => attune[Symbol.dispose]());

  test(`kill -9 at ${KILLS} random points, a second owner, Ctrl-C, and a last run: byte for byte the profile of an undisturbed one`, async () => {
    const whole = child('whole.json');
    expect(await new Promise((resolve) => whole.once('exit', resolve))).toBe(0);
    const batches = lines('whole.sweep.jsonl');
    expect(batches).toBeGreaterThan(100);
    const draw = uniformIntegers(`kills/${process.env.ATTUNE_SEED ?? 1}`);
    const points = Array.from({ length: KILLS }, () => draw(60)).sort((a, b) => a - b);
    for (const count of points) {
      const running = child('cut.json');
      const ended = new Promise((resolve) => running.once('exit', (_code, signal) => resolve(signal)));
      await reaching('cut.sweep.jsonl', count);
      if (count === points.at(-1)) {
        // Held still, or it might be done before the second owner is refused.
        running.kill('SIGSTOP');
        await expect(calibrated(...flags('cut.json'))).rejects.toThrow(
          new RegExp(`JOURNAL_LOCKED: at .*cut.sweep.jsonl.lock: found the lock of process ${running.pid},`),
        );
      }
      running.kill('SIGKILL');
      expect(await ended).toBe('SIGKILL');
    }
    expect(existsSync(path('cut.sweep.jsonl.lock'))).toBe(true);
    const kept = lines('cut.sweep.jsonl');
    const stopped = child('cut.json');
    let stderr = '';
    stopped.stderr.on('data', (text) => {
      stderr += text;
    });
    const ended = new Promise((resolve) => stopped.once('close', resolve));
    await reaching('cut.sweep.jsonl', kept + 3);
    stopped.kill('SIGINT');
    expect(await ended).toBe(1);
    expect(stderr).toMatch(/SWEEP_INTERRUPTED: found \d+ of \d+ measurements done and kept/);
    expect(existsSync(path('cut.json'))).toBe(false);
    expect(existsSync(path('cut.sweep.jsonl.lock'))).toBe(false);

    const last = child('cut.json');
    expect(await new Promise((resolve) => last.once('exit', resolve))).toBe(0);
    expect(readFileSync(path('cut.json'))).toEqual(readFileSync(path('whole.json')));
    expect(lines('cut.sweep.jsonl')).toBe(batches);
  }, 600_000);
});

describe('what is refused, before anything is measured', () => {
  test.each([
    [['--up', 'NaN'], /ARGUMENT_INVALID: at --up: found "NaN"/],
    [['--probe', '1,2'], /ARGUMENT_INVALID: at --probe.*one number/],
    [['--probe', '0.5'], /SPEC_INVALID.*probe/],
    [['--layers', '9'], /LAYER_OUT_OF_RANGE.*layer 9.*0 to 1/],
    [['--layers', '3-1'], /ARGUMENT_INVALID: at --layers/],
    [['--groups', 'halves'], /SPEC_INVALID.*groups/],
    [['--beta', '0.4'], /ARGUMENT_INVALID: at --beta.*zerotuning does not have/],
    [['--supervised', '--unsupervised'], /ARGUMENT_INVALID.*both/],
    [['--metric', 'f1'], /ARGUMENT_INVALID: at --metric.*acc_norm/],
    [['--samples', '55'], /CALIBRATION_TOO_FEW.*60 items/],
    [['--samples', '2'], /CALIBRATION_TOO_FEW.*at least 10/],
    [['--sampels', '2'], /ARGUMENT_UNKNOWN.*--samples/],
    [['--data', path('empty.jsonl')], /DATA_EMPTY/],
    [['--task', path('open.json')], /ARGUMENT_INVALID: at --task.*acc and entropy alone/],
    [['--model', './nowhere'], /MODEL_LOAD.*nowhere/],
    [['--intervention', 'pine'], /ARGUMENT_INVALID.*"pine".*zerotuning, act or var/],
  ])('%j', async (argv, message) => {
    await expect(calibrated(...flags('never.json'), ...argv)).rejects.toThrow(message);
    expect(existsSync(path('never.json'))).toBe(false);
  });

  test('accuracy where there are no choices, and ACT without labels', async () => {
    await expect(calibrated(...flags('never.json', 'zerotuning', 'open.json'))).rejects.toThrow(
      /CALIBRATION_UNLABELLED: at open.*--unsupervised/,
    );
    await expect(calibrated(...flags('never.json', 'act'), '--unsupervised')).rejects.toThrow(
      /ARGUMENT_INVALID.*chosen by accuracy/,
    );
    await expect(calibrated('--intervention', 'act')).rejects.toThrow(/ARGUMENT_MISSING.*--model/);
  });

  test('--help has examples', async () => {
    const { stdout, code } = await calibrated('--help');
    expect(code).toBe(0);
    expect(stdout).toMatch(/Examples:[\s\S]*attune calibrate --model/);
  });
});
