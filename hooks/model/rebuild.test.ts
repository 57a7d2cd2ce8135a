/** What cannot be built leaves the model as it was: kinds that are refused, sessions that fail, files that were replaced. */
import { cpSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AutoModelForCausalLM } from '@huggingface/transformers';
import { afterAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { AttuneError } from '../../errors.ts';
import { defineIntervention, headScale, tempScale, zeroTuning } from '../../interventions/index.ts';
import { loadFixture } from '../../testbed/fixtures/load.ts';
import { loadRuntime, type Runtime } from '../session/index.ts';
import { batch, load, logits, prompt, type TestModel } from './attuned.test-support.ts';
import { from_pretrained } from './index.ts';

const models: TestModel[] = [];
afterAll(async () => {
  for (const model of models) await model.dispose();
});
const inputs = () => batch(prompt);

/** Planned without complaint, and refused when it is compiled. */
const impossible = defineIntervention({
  name: 'test-impossible',
  stage: 'heads',
  needs: [],
  reference: 'none',
  schema: z.strictObject({}),
  plan: ({ decoder }) => ({
    edits: [
      {
        kind: 'bias',
        site: decoder[0]!,
        build: () => {
          throw new AttuneError('INTERVENTION_REFUSED', { at: 'test-impossible', found: 'this graph' });
        },
      },
    ],
  }),
  knobs: () => ({}),
});

/** ONNX Runtime, except that sessions may be made to fail, and that those that are open are counted. */
async function failing() {
  const real = await loadRuntime('node');
  const state = { fail: false, open: 0 };
  const runtime = {
    ...real,
    Tensor: real.Tensor,
    listSupportedBackends: () => [],
    InferenceSession: {
      create: async (model: Uint8Array, options?: object) => {
        if (state.fail) throw new Error('no memory');
        const session = await real.InferenceSession.create(model, options);
        state.open++;
        const release = session.release.bind(session);
        return Object.assign(session, {
          release: async () => {
            state.open--;
            await release();
          },
        });
      },
    },
  } as Runtime;
  return { runtime, state };
}

describe('a kind that is refused', () => {
  test('while compiling is refused by use(), and what was in force stays', async () => {
    const model = await load('llama-gqa', { interventions: [zeroTuning({ gamma: 2 })] });
    models.push(model);
    const before = await logits(model, inputs());
    expect(() => model.use([impossible({})])).toThrow('INTERVENTION_REFUSED');
    expect(() => model.with([impossible({})])).toThrow('INTERVENTION_REFUSED');
    expect(model.attune.interventions.map(({ intervention }) => intervention)).toEqual(['zerotuning']);
    await expect(logits(model, { ...inputs(), interventions: [impossible({})] })).rejects.toThrow(
      'INTERVENTION_REFUSED',
    );
    expect(await logits(model, inputs())).toEqual(before);
    // Nor is it in the way of another that was not compiled in.
    model.use([headScale({ scale: 2 })]);
    const scaled = await logits(model, inputs());
    const clean = await load('llama-gqa', { interventions: [headScale({ scale: 2 })] });
    models.push(clean);
    expect(scaled).toEqual(await logits(clean, inputs()));
    model.use([]);
    expect(await logits(model, inputs())).not.toEqual(before);
  });
});

test('a session that fails leaves the last good one; a session goes when its last run ends', async () => {
  const { runtime, state } = await failing();
  const model = await load('llama-gqa', { runtime });
  const plain = await logits(model, inputs());
  expect(state.open).toBe(1);
  state.fail = true;
  model.use([tempScale({ temperature: 2 })]);
  for (let i = 0; i < 2; i++)
    await expect(logits(model, inputs())).rejects.toThrow(/SESSION_FAILED.*no memory/);
  model.use([]);
  expect(await logits(model, inputs())).toEqual(plain);
  state.fail = false;
  const running = logits(model, inputs());
  const tempered = logits(model.with([tempScale({ temperature: 2 })]), inputs());
  expect(await running).toEqual(plain);
  expect(await tempered).not.toEqual(plain);
  expect(state.open).toBe(1);
  await model.runWithCache(inputs(), 'blocks.0.attn.hook_z');
  expect(state.open).toBe(2);
  // Runs under way end before the sessions do.
  const last = logits(model, inputs());
  await Promise.resolve();
  await model.dispose();
  expect(await last).toEqual(plain);
  expect(state.open).toBe(0);
  await expect(logits(model, inputs())).rejects.toThrow('SESSION_RELEASED');
});

describe('a model file that is not the one that was loaded', () => {
  const folder = mkdtempSync(join(tmpdir(), 'attune-replaced-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'onnx', 'model.onnx');

  test.each([
    [
      'replaced',
      () => {
        const bytes = readFileSync(file);
        bytes[bytes.length - 1] = bytes[bytes.length - 1]! ^ 1;
        writeFileSync(`${file}.new`, bytes);
        renameSync(`${file}.new`, file);
      },
    ],
    [
      'cut short',
      () => {
        const bytes = readFileSync(file);
        rmSync(file);
        writeFileSync(file, bytes.subarray(0, 1000));
      },
    ],
    ['removed', () => rmSync(file)],
  ])('%s is noticed at the next session, and the one there is goes on', async (_, change) => {
    cpSync(loadFixture('llama-gqa').folder, folder, { recursive: true });
    const model = (await from_pretrained(AutoModelForCausalLM, folder, { dtype: 'fp32' })) as TestModel;
    models.push(model);
    const before = await logits(model, inputs());
    change();
    model.use([zeroTuning({ gamma: 1 })]);
    await expect(logits(model, inputs())).rejects.toThrow(/MODEL_FILE_CHANGED.*model\.onnx/);
    model.use([]);
    expect(await logits(model, inputs())).toEqual(before);
  });
});
