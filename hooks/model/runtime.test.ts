/** The `runtime` of a live model: what runs, why, and that generation does not depend on it. */
import { DynamicCache, Tensor } from '@huggingface/transformers';
import { afterAll, describe, expect, test } from 'vitest';
import { act, zeroTuning } from '../../interventions/index.ts';
import { loadFixture } from '../../testbed/fixtures/load.ts';
import { native, WHY_NOT } from '../session/native/native.test-support.ts';
import { load, type TestModel } from './attuned.test-support.ts';

type Generating = TestModel & { generate(options: object): Promise<Tensor> };

const models: TestModel[] = [];
afterAll(async () => {
  for (const model of models) await model.dispose();
});

async function loaded(fixture: string, options: object): Promise<Generating> {
  const model = (await load(fixture, options)) as Generating;
  models.push(model);
  return model;
}

const ids = (rows: readonly (readonly number[])[]) =>
  new Tensor('int64', BigInt64Array.from(rows.flat(), BigInt), [rows.length, rows[0]!.length]);

async function tokens(model: Generating, prompt: readonly number[], options: object = {}): Promise<number[]> {
  const output = await model.generate({
    input_ids: ids([prompt]),
    max_new_tokens: 32,
    do_sample: false,
    eos_token_id: null,
    ...options,
  });
  return (output.tolist() as bigint[][])[0]!.map(Number);
}

const INTERVENTIONS = {
  none: [],
  zerotuning: [zeroTuning({ gamma: 1.6 })],
  act: [act({ heads: 'all', threshold: { alpha: 2 } })],
};

describe.skipIf(!native)(`the native runtime behind transformers.js${WHY_NOT}`, () => {
  test.each(['llama-gqa', 'llama-eager', 'gpt2'])(
    '%s generates what onnxruntime generates',
    async (fixture) => {
      const { prompt } = loadFixture(fixture).greedy!.single;
      for (const [name, interventions] of Object.entries(INTERVENTIONS)) {
        const own = await loaded(fixture, { interventions, runtime: 'native' });
        const other = await loaded(fixture, { interventions, runtime: 'onnxruntime' });
        expect(own.attune.runtime).toMatchObject({ name: 'native', reason: 'asked for by name' });
        expect(other.attune.runtime.name).toBe('onnxruntime');
        expect(await tokens(own, prompt), name).toEqual(await tokens(other, prompt));
      }
    },
  );

  test('it is chosen by itself, and says why', async () => {
    const model = await loaded('llama-gqa', {});
    expect(model.attune.runtime).toMatchObject({
      name: 'native',
      reason: expect.stringContaining('addon'),
      version: native!.native.version,
    });
  });

  test('what it cannot do goes to onnxruntime where it was not asked for by name', async () => {
    const model = await loaded('llama-gqa', { session_options: { intraOpNumThreads: 0 } });
    expect(model.attune.runtime).toMatchObject({
      name: 'onnxruntime',
      reason: expect.stringContaining('THREADS_INVALID'),
    });
    await expect(
      load('llama-gqa', { runtime: 'native', session_options: { intraOpNumThreads: 0 } }),
    ).rejects.toMatchObject({ code: 'THREADS_INVALID' });
  });

  test('caches: kept for a second turn, disposed of by transformers.js, switched to other interventions', async () => {
    const { prompt } = loadFixture('llama-gqa').greedy!.single;
    const turns = async (runtime: string) => {
      const model = await loaded('llama-gqa', { runtime });
      const cache = new DynamicCache();
      const first = await tokens(model, prompt, { past_key_values: cache, max_new_tokens: 8 });
      const second = await tokens(model, [...first, 3, 4], { past_key_values: cache, max_new_tokens: 8 });
      model.use([zeroTuning({ gamma: 3 })]);
      const third = await tokens(model, [...second, 5], { past_key_values: cache, max_new_tokens: 8 });
      const location = Object.values(cache)[0]!.location;
      await (cache as unknown as { dispose(): Promise<void> }).dispose();
      return { third, location };
    };
    const [own, other] = [await turns('native'), await turns('onnxruntime')];
    expect(own.third).toEqual(other.third);
    expect([own.location, other.location]).toEqual(['gpu-buffer', 'cpu']);
  });

  test('runWithCache and function hooks read the same', async () => {
    const { prompt } = loadFixture('llama-gqa').greedy!.single;
    const read = async (runtime: string) => {
      const model = await loaded('llama-gqa', { runtime });
      const inputs = { input_ids: ids([prompt]), attention_mask: ids([prompt.map(() => 1)]) };
      const { cache } = await model.runWithCache(inputs, 'blocks.*.attn.hook_pattern');
      const seen: number[] = [];
      await model.runWithHooks([['blocks.0.attn.hook_z', ({ data }) => void seen.push(data[0]!)]], () =>
        model(inputs),
      );
      return { seen, pattern: [...cache.get('blocks.1.attn.hook_pattern')!.data] };
    };
    expect(await read('native')).toEqual(await read('onnxruntime'));
  });
});

test('without the addon a name asks for it in vain, and nothing else does', async () => {
  await expect(load('llama-gqa', { runtime: 'nativ' })).rejects.toMatchObject({ code: 'RUNTIME_UNKNOWN' });
  const model = await loaded('llama-gqa', { runtime: 'wasm' });
  expect(model.attune.runtime).toMatchObject({ name: 'wasm', reason: 'asked for by name' });
  const { prompt } = loadFixture('llama-gqa').greedy!.single;
  expect(await tokens(model, prompt)).toHaveLength(prompt.length + 32);
  if (native) return;
  await expect(load('llama-gqa', { runtime: 'native' })).rejects.toMatchObject({ code: 'NATIVE_ADDON' });
  const automatic = await loaded('llama-gqa', {});
  expect(automatic.attune.runtime).toMatchObject({
    name: 'onnxruntime',
    reason: expect.stringContaining('NATIVE_ADDON'),
  });
});
