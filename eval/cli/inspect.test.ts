/** attune inspect and attune tap as a user runs them. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadFixture } from '../../testbed/fixtures/load.ts';
import { type AttuneProcess, attuneProcess } from '../testing/attune-process.ts';

const folder = mkdtempSync(join(tmpdir(), 'attune-cli-'));
afterAll(() => rmSync(folder, { recursive: true }));

let command: AttuneProcess;
beforeAll(async () => {
  command = await attuneProcess();
});
afterAll(() => command[Symbol.dispose]());
const attune = (...argv: string[]) => command.run(...argv);

const llama = loadFixture('llama-gqa').folder;

describe('attune inspect', () => {
  test('--json is one document with sites, refusals and points', async () => {
    const { code, stdout } = await attune('inspect', llama, '--json');
    expect(code).toBe(0);
    const document = JSON.parse(stdout);
    expect(document).toMatchObject({ file: expect.stringMatching(/model\.onnx$/), opset: 21, refused: [] });
    expect(document.sites).toHaveLength(2);
    expect(document.sites[1]).toMatchObject({
      index: 1,
      form: 'P1a',
      numHeads: 4,
      kvHeads: 2,
      headDim: 16,
      attention: 'self',
      causal: true,
    });
    expect(document.sites[0].nodes).toContain('/model/layers.0/attn/GroupQueryAttention');
    expect(document.points).toContain('blocks.1.attn.hook_pattern');
  });

  test('lowerings are those the compiler takes, by method, and refusals are sentences', async () => {
    const { stdout } = await attune('inspect', llama, '--json');
    const { sites, methodsRefused } = JSON.parse(stdout);
    const [{ lowerings }] = sites;
    // A head scale is a product behind the operator: nothing inside it is written out.
    expect(lowerings['head-scale']).toMatchObject({
      lowering: 'keep-operator',
      why: 'the only one that can',
    });
    expect(lowerings.act).toMatchObject({
      lowering: 'expand',
      why: 'the only one that can',
      besides: ['decode-step'],
    });
    expect(lowerings.pine.besides).toEqual(['documents']);
    expect(lowerings.zerotuning.ruledOut).toEqual([
      { lowering: 'at-pattern', reason: expect.stringContaining('keeps inside') },
    ]);
    expect(methodsRefused.var).toMatch(/INTERVENTION_REFUSED/);
  });

  test('a file without attention exits 0 with the reason', async () => {
    const { code, stdout } = await attune(
      'inspect',
      loadFixture('llava').folder,
      '--file',
      'embed_tokens',
      '--json',
    );
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      sites: [],
      refused: [{ node: 'file', reason: expect.stringMatching(/no attention/i) }],
    });
  });

  test('an unreadable file exits 1 and names code, place and remedy', async () => {
    const path = join(folder, 'half.onnx');
    writeFileSync(path, readFileSync(join(llama, 'onnx/model.onnx')).subarray(0, 5000));
    const { code, stdout, stderr } = await attune('inspect', path, '--json');
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(/ONNX_TRUNCATED.*half\.onnx, byte \d+/);
  });

  test('a wrong flag and a wrong command get the nearest name', async () => {
    expect((await attune('inspect', llama, '--jsn')).stderr).toMatch(/--jsn.*Did you mean --json/);
    expect((await attune('inspct', llama)).stderr).toMatch(/COMMAND_UNKNOWN.*Did you mean inspect/);
  });

  test('--help shows examples, --html writes a page that needs no network', async () => {
    expect((await attune('inspect', '--help')).stdout).toMatch(/Examples:\n {2}attune inspect/);
    const page = join(folder, 'page.html');
    expect((await attune('inspect', llama, '--html', page)).code).toBe(0);
    const html = readFileSync(page, 'utf8');
    expect(html).toContain('blocks.0.attn.hook_pattern');
    expect(html).not.toMatch(/https?:\/\//);
  });
});

describe('attune tap', () => {
  test('writes activations as JSON and as an archive of .npy files', async () => {
    const json = join(folder, 'acts.json');
    const npz = join(folder, 'acts.npz');
    const tap = (out: string) =>
      attune(
        'tap',
        llama,
        '--input',
        'input_ids=[[1,5,7]]',
        '--points',
        'blocks.*.attn.hook_pattern',
        '--out',
        out,
      );
    expect((await tap(json)).code).toBe(0);
    const written = JSON.parse(readFileSync(json, 'utf8'));
    expect(Object.keys(written)).toEqual(['blocks.0.attn.hook_pattern', 'blocks.1.attn.hook_pattern']);
    const { dims, data } = written['blocks.1.attn.hook_pattern'];
    expect(dims).toEqual([1, 4, 3, 3]);
    expect(data.slice(0, 3)).toEqual([1, 0, 0]);
    expect((await tap(npz)).code).toBe(0);
    const bytes = readFileSync(npz);
    const header = bytes.indexOf("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 4, 3, 3), }");
    expect(header).toBeGreaterThan(0);
    const first = bytes.indexOf('\n', header) + 1;
    expect([0, 4, 8].map((at) => bytes.readFloatLE(first + at))).toEqual([1, 0, 0]);
    expect((first - bytes.indexOf('NUMPY') + 1) % 64).toBe(0);
  });

  test('an unknown point lists the nearest, a missing input says how to give it', async () => {
    const out = join(folder, 'x.json');
    const unknown = await attune(
      'tap',
      llama,
      '--input',
      'input_ids=[[1]]',
      '--points',
      'blocks.0.attn.hook_patern',
      '--out',
      out,
    );
    expect(unknown.code).toBe(1);
    expect(unknown.stderr).toMatch(/HOOK_UNKNOWN.*blocks\.0\.attn\.hook_pattern/);
    const missing = await attune(
      'tap',
      loadFixture('llava').folder,
      '--file',
      'vision_encoder',
      '--input',
      'pixels=[1]',
      '--points',
      '**',
      '--out',
      out,
    );
    expect(missing.stderr).toMatch(/INPUT_UNKNOWN.*pixels.*pixel_values/);
  });
});
