/** The same specification gives the same greedy tokens on onnxruntime-node and on onnxruntime-web's wasm. */
import { AutoModelForCausalLM, Tensor } from '@huggingface/transformers';
import { afterAll, expect, test } from 'vitest';
import { zeroTuning } from '../../interventions/index.ts';
import { loadFixture } from '../../testbed/fixtures/load.ts';
import { loadRuntime } from '../session/index.ts';
import { from_pretrained, type TransformersModel } from './index.ts';

const web = await loadRuntime('web');
const models: TransformersModel[] = [];
afterAll(async () => {
  for (const model of models) await model.dispose();
});

type Model = TransformersModel & { generate(options: object): Promise<Tensor> };

async function tokens(name: string, options: object): Promise<number[]> {
  const { folder, greedy } = loadFixture(name);
  const model = (await from_pretrained(AutoModelForCausalLM as never, folder, {
    dtype: 'fp32',
    interventions: [zeroTuning({ gamma: 1.6 })],
    ...options,
  })) as unknown as Model;
  models.push(model);
  const { prompt } = greedy!.single;
  const input_ids = new Tensor('int64', BigInt64Array.from(prompt, BigInt), [1, prompt.length]);
  const output = await model.generate({
    input_ids,
    max_new_tokens: 32,
    do_sample: false,
    eos_token_id: null,
  });
  return (output.tolist() as bigint[][])[0]!.slice(prompt.length).map(Number);
}

test.each(['llama-eager', 'llama-gqa', 'gpt2'])('%s: wasm and CPU agree', async (name) => {
  const wasm = await tokens(name, { runtime: web, session_options: { executionProviders: ['wasm'] } });
  expect(wasm).toHaveLength(32);
  expect(wasm).toEqual(await tokens(name, {}));
});
