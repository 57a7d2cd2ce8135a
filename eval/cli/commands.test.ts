/** What holds for every command: help with examples, the nearest flag for a wrong one, clean JSON, no colour in a pipe. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { attuneProcess } from '../testing/attune-process.ts';
import { COMMANDS, runCommand } from './commands.ts';
import { paintFor } from './paint.ts';

const repository = fileURLToPath(new URL('../..', import.meta.url));
const root = mkdtempSync(join(tmpdir(), 'attune-commands-'));
afterAll(() => rmSync(root, { recursive: true }));
afterEach(() => {
  vi.restoreAllMocks();
});
const path = (name: string) => join(root, name);
const inRepository = (name: string) => join(repository, name);

/** A command run in this process, with what it writes. */
async function run(argv: readonly string[]) {
  const written = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    vi.spyOn(process[name], 'write').mockImplementation((text) => {
      written[name] += text;
      return true;
    });
  }
  try {
    return { code: await runCommand(argv), ...written };
  } finally {
    vi.restoreAllMocks();
  }
}

const names = Object.keys(COMMANDS);

test('the overview has every command that scripts rely on', async () => {
  const { code, stdout } = await run(['--help']);
  expect(code).toBe(0);
  for (const name of ['eval', 'compare', 'calibrate', 'inspect', 'tap', 'verify', 'demo']) {
    expect(stdout).toMatch(new RegExp(`^ {2}${name} +\\S`, 'm'));
  }
  expect((await run([])).code).toBe(1);
});

test('--version, and what may be named', async () => {
  expect((await run(['--version'])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  const all = (await run(['interventions'])).stdout;
  expect(all).toMatch(/^zerotuning \(arXiv/m);
  expect(all).toMatch(/^ {4}gamma: a number > 0 or .*; required\. γ > 0/m);
  expect((await run(['interventions', 'act', '--json'])).stdout).toMatch(
    /^\{"interventions":\[\{"name":"act"/,
  );
  await expect(run(['interventions', 'atc'])).rejects.toThrow(/INTERVENTION_UNKNOWN/);
  expect((await run(['tasks'])).stdout.split('\n')).toContain('copa');
  expect((await run(['completion'])).stdout).toMatch(/complete .*_attune attune/);
  expect((await run(['eval', '--help', 'act'])).stdout).toMatch(/^act \(.*\n {4}\S+: /m);
});

test('a command that is none suggests the nearest', async () => {
  await expect(run(['evla'])).rejects.toMatchObject({
    code: 'COMMAND_UNKNOWN',
    hint: 'Did you mean eval?',
  });
});

describe.each(names)('%s', (name) => {
  test('--help: what it does, its flags, examples that start with it, no colour', async () => {
    const { code, stdout, stderr } = await run([name, '--help']);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(new RegExp(`^attune ${name}: .+\n\nUsage: attune ${name} `));
    const examples = stdout.slice(stdout.indexOf('Examples:\n')).split('\n').slice(1);
    expect(examples[0]).toMatch(new RegExp(`^ {2}attune ${name}`));
    expect(stdout).toContain('--json');
    expect(stdout).not.toContain('\x1b');
  });

  test('a wrong flag suggests the nearest, and nothing is written', async () => {
    await expect(run([name, '--jsno'])).rejects.toMatchObject({
      code: 'ARGUMENT_UNKNOWN',
      found: '--jsno',
      expected: `a flag of attune ${name}`,
      hint: expect.stringContaining('--json'),
    });
  });
});

describe('--json', () => {
  const lm = inRepository('testbed/models/worlds-lm');
  const fixture = inRepository('testbed/fixtures/llama-gqa');
  const evaluate = (out: string) => [
    ...['eval', '--model', lm, '--task', 'worlds-topic', '--limit', '6', '--resamples', '100'],
    ...['--out', path(out)],
  ];

  beforeAll(async () => {
    writeFileSync(path('captions.jsonl'), '{"image_id":1,"caption":"a dog on a chair"}\n');
    writeFileSync(path('objects.json'), '{"1":["dog"]}');
    writeFileSync(path('synonyms.txt'), 'dog\nchair\n');
    const pairs = ['sofa', 'lamp', 'table', 'chair', 'dog', 'cat', 'house', 'car', 'tree', 'cup'].map((one) =>
      JSON.stringify({ positive: `The ${one} is red .`, negative: `The ${one} is old ?` }),
    );
    writeFileSync(path('pairs.jsonl'), pairs.join('\n'));
    await run(evaluate('earlier'));
    for (const shard of ['1/2', '2/2']) await run([...evaluate(`part-${shard[0]}`), '--shard', shard]);
  });

  /** A run of each command that takes seconds, and the keys of its contract. */
  const cases: Record<string, { argv: string[]; keys: string[] }> = {
    inspect: { argv: [fixture], keys: ['sites', 'refused'] },
    tap: {
      argv: [fixture, '--text', 'Once', '--points', 'blocks.0.attn.hook_z', '--out', path('a.npz')],
      keys: ['out', 'tensors'],
    },
    eval: { argv: evaluate('json').slice(1), keys: ['runs', 'report'] },
    merge: { argv: [path('part-1'), path('part-2'), '--out', path('merged')], keys: ['runs', 'report'] },
    compare: { argv: [path('earlier'), path('earlier')], keys: ['a', 'b', 'comparisons'] },
    export: { argv: [path('earlier')], keys: ['results'] },
    score: {
      argv: [
        ...['chair', '--captions', path('captions.jsonl'), '--annotations', path('objects.json')],
        ...['--synonyms', path('synonyms.txt'), '--resamples', '100'],
      ],
      keys: ['metric', 'sets'],
    },
    heads: {
      argv: ['--model', lm, '--task', 'worlds-topic', '--samples', '2', '--tokens', '16'],
      keys: ['layers', 'heads', 'statistics'],
    },
    calibrate: {
      argv: [
        ...[
          '--model',
          lm,
          '--intervention',
          'zerotuning',
          '--task',
          'worlds-topic',
          '--samples',
          '12',
          '--held-out',
          '12',
        ],
        ...['--unit', 'layer', '--up', '2', '--down', '0.5', '--out', path('zerotuning.profile.json')],
      ],
      keys: ['profile', 'heldOut', 'search'],
    },
    verify: {
      argv: ['--golden', inRepository('testbed/golden'), '--lowering', 'mha keep-operator'],
      keys: ['cases', 'notBuilt', 'passed', 'failed'],
    },
    directions: {
      argv: ['--model', lm, '--pairs', path('pairs.jsonl'), '--out', path('a.safetensors')],
      keys: ['out', 'layers'],
    },
    show: {
      argv: ['--model', lm, '--prompt', 'The sofa is red .', '--out', path('show.html')],
      keys: ['out', 'tokens', 'settings'],
    },
    interventions: { argv: ['act'], keys: ['interventions'] },
    tasks: { argv: [], keys: ['tasks'] },
    completion: { argv: [], keys: ['script'] },
    demo: { argv: ['--limit', '2', '--workers', '1', '--out', path('demo')], keys: ['runs', 'report'] },
  };

  test('a case for every command', () => {
    expect(Object.keys(cases).sort()).toEqual([...names].sort());
  });

  test.each(Object.entries(cases))(
    '%s: one document on stdout, in one line, without colour',
    async (name, { argv, keys }) => {
      const { code, stdout } = await run([name, ...argv, '--json']);
      expect(code).toBe(0);
      expect(stdout).toMatch(/^[^\n]+\n$/);
      expect(stdout).not.toContain('\x1b');
      expect(Object.keys(JSON.parse(stdout))).toEqual(expect.arrayContaining(keys));
    },
    // The demo loads two models under five methods.
    300_000,
  );

  test('without it there is no colour in a pipe either', async () => {
    const { stdout } = await run(['compare', ...cases.compare!.argv]);
    expect(stdout).toContain('worlds-topic');
    expect(stdout).not.toContain('\x1b');
  });
});

test('colour is for terminals, and NO_COLOR takes it from them', () => {
  expect(paintFor({ isTTY: true }, {}).bold('x')).toBe('\x1b[1mx\x1b[0m');
  expect(paintFor({ isTTY: true }, { NO_COLOR: '1' }).bold('x')).toBe('x');
  expect(paintFor({}, {}).dim('x')).toBe('x');
});

test('a reader that has seen enough is no error', async () => {
  using attune = await attuneProcess();
  const child = spawn(process.execPath, [...attune.argv, 'eval', '--help'], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  child.stdout.destroy();
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  expect(await new Promise((resolve) => child.on('close', resolve))).toBe(0);
  expect(said).toBe('');
});
