/** Loading through the public path: whose runtime and files, what is refused, and that nothing is loaded twice. */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { basename, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { AutoModelForCausalLM, env, Tensor } from '@huggingface/transformers';
import { afterAll, expect, test, vi } from 'vitest';
import { attune, zeroTuning } from '../../index.ts';
import { hostOf } from './host.ts';
import { from_pretrained } from './load.ts';
import { wrap } from './wrap.ts';

const FIXTURES = fileURLToPath(new URL('../../testbed/fixtures', import.meta.url));
const GQA = join(FIXTURES, 'llama-gqa');
/** Its weights are in a second file. */
const WORLDS = fileURLToPath(new URL('../../testbed/models/worlds-lm', import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), 'attune-load-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const ort = createRequire(createRequire(import.meta.url).resolve('@huggingface/transformers'))(
  'onnxruntime-node',
) as { InferenceSession: { create: (...args: unknown[]) => Promise<unknown> } };

const inputs = () => ({
  input_ids: new Tensor('int64', BigInt64Array.from([5, 9, 13, 21], BigInt), [1, 4]),
  attention_mask: new Tensor('int64', new BigInt64Array(4).fill(1n), [1, 4]),
});

// biome-ignore lint/suspicious/noExplicitAny: a model as transformers.js types it
const logitsOf = async (model: any) => Array.from((await model(inputs())).logits.data as Float32Array);

test('the runtime and env are those of the class, also where its module has to be found by its file', async () => {
  const host = (await hostOf(AutoModelForCausalLM))!;
  expect(host.env).toBe(env);
  expect(host.runtime.InferenceSession).toBe(ort.InferenceSession);
  // The CommonJS build is another copy: its classes are not those that attune's import finds.
  const other = createRequire(import.meta.url)('@huggingface/transformers') as {
    AutoModelForCausalLM: typeof AutoModelForCausalLM;
    env: typeof env;
  };
  expect(other.AutoModelForCausalLM).not.toBe(AutoModelForCausalLM);
  expect((await hostOf(other.AutoModelForCausalLM))!.env).toBe(other.env);
  expect(await hostOf({ from_pretrained: async () => undefined })).toBeUndefined();
});

test('one session is made, from the edited graph, and calls of others pass through', async () => {
  const create = vi.spyOn(ort.InferenceSession, 'create');
  try {
    const model = await attune(AutoModelForCausalLM, GQA, {
      dtype: 'fp32',
      interventions: [zeroTuning({ gamma: 2 })],
    });
    expect(create.mock.calls.map(([from]) => typeof from)).toEqual(['object']);
    const [plain] = await Promise.all([
      AutoModelForCausalLM.from_pretrained(GQA, { dtype: 'fp32' }),
      attune(AutoModelForCausalLM, GQA, { dtype: 'fp32' }).then((other) => other.dispose()),
    ]);
    model.use([]);
    expect(await logitsOf(model)).toEqual(await logitsOf(plain));
    await Promise.all([model.dispose(), plain.dispose()]);
  } finally {
    create.mockRestore();
  }
  expect(vi.isMockFunction(ort.InferenceSession.create)).toBe(false);
});

/** A folder as huggingface_hub keeps it: files in blobs/, links in snapshots/. */
function hubCache(source: string, name: string): string {
  const root = join(scratch, name);
  const snapshot = join(root, 'snapshots', 'abc');
  mkdirSync(join(root, 'blobs'), { recursive: true });
  mkdirSync(join(snapshot, 'onnx'), { recursive: true });
  let blob = 0;
  for (const folder of ['.', 'onnx']) {
    for (const entry of readdirSync(join(source, folder), { withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const kept = join(root, 'blobs', String(++blob));
      cpSync(join(source, folder, entry.name), kept);
      symlinkSync(relative(join(snapshot, folder), kept), join(snapshot, folder, entry.name));
    }
  }
  return snapshot;
}

test.each([GQA, WORLDS])('%# in the layout of huggingface_hub: the real files', async (folder) => {
  const settings = { dtype: 'fp32', interventions: [zeroTuning({ gamma: 2 })] } as const;
  const linked = await attune(AutoModelForCausalLM, hubCache(folder, basename(folder)), settings);
  const plain = await attune(AutoModelForCausalLM, folder, settings);
  expect(await logitsOf(linked)).toEqual(await logitsOf(plain));
  await Promise.all([linked.dispose(), plain.dispose()]);
});

test('by env.localModelPath; wrap finds the one folder with the configuration, and says so when there are two', async () => {
  const before = env.localModelPath;
  env.localModelPath = join(scratch, 'models');
  try {
    cpSync(GQA, join(scratch, 'models', 'one'), { recursive: true });
    const plain = await AutoModelForCausalLM.from_pretrained('one', { dtype: 'fp32' });
    const wrapped = await wrap(plain, { interventions: [zeroTuning({ gamma: 2 })] });
    const loaded = await attune(AutoModelForCausalLM, 'one', {
      dtype: 'fp32',
      interventions: [{ intervention: 'zerotuning', gamma: 2 }],
    });
    expect(await logitsOf(wrapped)).toEqual(await logitsOf(loaded));
    await expect(wrap(wrapped)).rejects.toThrow(/WRAPPED_TWICE/);
    cpSync(GQA, join(scratch, 'models', 'two'), { recursive: true });
    const again = await AutoModelForCausalLM.from_pretrained('one', { dtype: 'fp32' });
    await expect(wrap(again)).rejects.toThrow(
      /MODEL_FOLDER_UNKNOWN.*2 folders.*attune\.wrap\(model, idOrFolder\)/,
    );
    await Promise.all([wrapped.dispose(), loaded.dispose(), again.dispose()]);
  } finally {
    env.localModelPath = before;
  }
});

const call = (options: object) => from_pretrained(AutoModelForCausalLM, GQA, { dtype: 'fp32', ...options });

test.each([
  [
    { intervention: [zeroTuning({ gamma: 4 })] },
    /OPTION_UNKNOWN: .*"intervention" but expected "interventions"/,
  ],
  [{ paddding: false }, /OPTION_UNKNOWN: .*"paddding" but expected "padding"/],
  [{ num_logits_to_keep: true }, /OPTION_UNKNOWN: .*expected "numLogitsToKeep"/],
  [{ dtpye: 'q4' }, /OPTION_UNKNOWN: .*expected "dtype"/],
  [{ interventions: zeroTuning({ gamma: 4 }) }, /OPTION_INVALID: .*one intervention \(zerotuning\).*a list/],
  [
    { interventions: ['zerotuning'] },
    /INTERVENTIONS_EXPECTED: .*text "zerotuning".*intervention: 'zerotuning'/,
  ],
  [{ interventions: [zeroTuning] }, /INTERVENTIONS_EXPECTED: .*not called.*Call it/],
  [{ interventions: [{ intervention: 'zerotunin' }] }, /INTERVENTION_UNKNOWN: .*Nearest: zerotuning/],
  [{ prepare: [zeroTuning] }, /OPTION_INVALID: .*"prepare".*not called.*pine\.kind/],
  [{ prepare: [zeroTuning({ gamma: 2 })] }, /OPTION_INVALID: .*"prepare".*pine\.kind/],
  [{ padding: 'no' }, /OPTION_INVALID: .*"padding".*text "no".*true or false/],
  [{ dtype: 'int4' }, /DTYPE_UNKNOWN: .*"int4".*Did you mean int8/],
  [{ dtype: { model: 'fp23' } }, /DTYPE_UNKNOWN: .*"fp23".*fp32/],
  [
    { dtype: 'q2' },
    /MODEL_LOAD: .*no file of dtype q2.*expected one of .*model\.onnx.*Load with dtype: 'fp32'/,
  ],
  [{ session: 'decoder' }, /SESSION_UNKNOWN: .*"decoder" but expected model/],
])('%o is refused with what to write', async (options, message) => {
  await expect(call(options)).rejects.toThrow(message);
});

test('what is far from every option is left to transformers.js', async () => {
  await (await call({ some_newer_thing: 1 })).dispose();
});

test.each([
  [
    () => attune('worlds-lm' as never, {} as never),
    /ARGUMENT_INVALID: .*text "worlds-lm" as its first argument.*AutoModelForCausalLM/,
  ],
  [() => attune(AutoModelForCausalLM, 7 as never), /ARGUMENT_INVALID: .*number 7 as its second argument/],
  [() => attune(AutoModelForCausalLM, GQA, 'q4' as never), /OPTION_INVALID: .*text "q4"/],
  [
    () => attune(AutoModelForCausalLM, join(GQA, 'onnx')),
    /MODEL_LOAD: .*no config\.json.*Give the folder above it/,
  ],
  [() => attune(AutoModelForCausalLM, './no/such'), /MODEL_LOAD: .*no folder \.\/no\/such.*Check the path/],
  [() => wrap(undefined as never), /ARGUMENT_INVALID: .*undefined.*pipe\.model/],
])('call %# is refused with what to write', async (run, message) => {
  await expect(run()).rejects.toThrow(message);
});

test('weights outside the folder are refused', async () => {
  const folder = join(scratch, 'outside');
  cpSync(WORLDS, folder, { recursive: true });
  const data = join(folder, 'onnx', 'model.onnx_data');
  renameSync(data, join(scratch, 'elsewhere'));
  symlinkSync(join(scratch, 'elsewhere'), data);
  await expect(
    attune(AutoModelForCausalLM, folder, { dtype: 'fp32', prepare: [zeroTuning.kind] }),
  ).rejects.toThrow(/EXTERNAL_DATA_OUTSIDE: .*"model\.onnx_data", a link to /);
});
