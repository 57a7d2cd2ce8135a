/** attune verify as a user runs it: one document on stdout, progress on stderr, exit codes. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadFixture } from '../../testbed/fixtures/load.ts';
import { type AttuneProcess, attuneProcess } from '../testing/attune-process.ts';

const folder = mkdtempSync(join(tmpdir(), 'attune-cli-verify-'));
afterAll(() => rmSync(folder, { recursive: true }));

let command: AttuneProcess;
beforeAll(async () => {
  command = await attuneProcess();
});
afterAll(() => command[Symbol.dispose]());
const attune = (...argv: string[]) => command.run(...argv);

const model = loadFixture('llama-gqa');
const { prompt, tokens } = model.greedy!.single;
const { vocab_size } = JSON.parse(readFileSync(join(model.folder, 'config.json'), 'utf8'));

/** A golden run of the fixture: what PyTorch continues its prompt with. */
function golden(name: string, ids: readonly number[]): string {
  const path = join(folder, name);
  const row = { shape: [1, prompt.length], data: [prompt] };
  const tolerance = { float32: { last_logits: { suggested: 1e9 } } };
  const content = {
    header: { format: 1, model: { head_dim: 16, bos: 1 }, tolerance },
    prompts: {},
    settings: { gamma_tables: {}, scale_heads: [], ablate_heads: [] },
    left_padding: {
      prompts: ['one'],
      padded_ids: row,
      attention_mask: { ...row, data: [prompt.map(() => 1)] },
      last_logits: { shape: [1, 1], data: [new Array<number>(vocab_size).fill(0)] },
      greedy: [{ ids, fragile: [] }],
    },
    streaming: [],
  };
  writeFileSync(path, JSON.stringify(content));
  return path;
}

test('what agrees passes: exit 0, and with --json one document', async () => {
  const path = golden('right.json', tokens);
  const { code, stdout, stderr } = await attune(
    'verify',
    '--end-to-end',
    path,
    '--weights',
    model.folder,
    '--json',
  );
  const report = JSON.parse(stdout);
  expect(report).toMatchObject({ passed: 2, failed: 0, notBuilt: ['streaming'] });
  expect(report.cases[1]).toEqual({
    family: 'left_padding',
    case: 'one greedy',
    state: 'product',
    lowering: 'as given',
    ep: 'cpu',
    maxAbsError: 0,
    tolerance: 0,
    pass: true,
  });
  expect(code).toBe(0);
  expect(stderr).toContain('as given left_padding: 2 of 2');
});

test('what differs fails: exit 1, and the page names it', async () => {
  const path = golden('wrong.json', [...tokens.slice(0, -1), tokens.at(-1)! + 1]);
  const { code, stdout } = await attune('verify', '--end-to-end', path, '--weights', model.folder);
  expect(code).toBe(1);
  expect(stdout).toMatch(
    /FAILED as given left_padding: one greedy: off by 1\nnot built: streaming\n1 passed, 1 failed\n$/,
  );
});

test('vectors of single methods, through one lowering', async () => {
  const { code, stdout } = await attune('verify', '--lowering', 'gqa keep-operator', '--json');
  const report = JSON.parse(stdout);
  expect(report.failed).toBe(0);
  expect(report.passed).toBe(report.cases.length);
  const states = (family: string) =>
    new Set(
      report.cases
        .filter((one: { family: string }) => one.family === family)
        .map((one: { state: string }) => one.state),
    );
  expect(states('zerotuning')).toEqual(new Set(['product', 'reference']));
  expect(states('streamingllm')).toEqual(new Set(['product']));
  // For this no intervention exists: that the reference agrees proves nothing of the product.
  expect(states('recycled_attention')).toEqual(new Set(['reference']));
  expect(new Set(report.cases.map((one: { family: string }) => one.family))).toContain('zerotuning');
  expect(code).toBe(0);
});

test('bad usage is one sentence and exit 1', async () => {
  const path = golden('right.json', tokens);
  const attempts = [
    [['--end-to-end', path], /ARGUMENT_INVALID: found --end-to-end without --weights/],
    [['--end-to-end', path, '--weights', model.folder, '--ep', 'tpu'], /ARGUMENT_INVALID.*cpu, wasm, webgpu/],
    [['--end-to-end', path, '--weights', join(folder, 'none')], /FILE_NOT_FOUND/],
    [['--wieghts', folder], /ARGUMENT_UNKNOWN.*--weights/],
  ] as const;
  await Promise.all(
    attempts.map(async ([argv, message]) => {
      const { code, stdout, stderr } = await attune('verify', ...argv);
      expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
      expect(stderr).toMatch(message);
    }),
  );
});
